"""The array functions of the operations that are scikit-image's own, applied to the images of a recipe.

They share three rules: alpha stays as it is, pixels keep their type (a 1-bit image becomes 8-bit grey where levels
between black and white arise), and the work is done in strips of rows wherever the result is the same.
Importing one of these modules imports numpy and scikit-image.
"""
