"""What training minimises; one loss a file, functions of tensors."""
