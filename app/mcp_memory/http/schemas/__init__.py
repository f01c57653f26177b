"""What REST requests and answers look like. Shapes are the original service's; fields that it did not have come on top."""
