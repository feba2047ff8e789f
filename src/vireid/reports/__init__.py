"""Reports: pictures and plots for people to look at."""
