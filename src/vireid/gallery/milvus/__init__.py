"""A gallery on a Milvus server: for more pictures, or more machines, than one folder serves."""
