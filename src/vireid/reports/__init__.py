"""Reports: pictures and figures for people to look at."""
