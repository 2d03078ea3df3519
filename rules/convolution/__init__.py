"""CONVOLUTION (CNV): kernels that cost more than they see, and steps that skip or blur what lies under them.

A dense kernel costs its area times both channel counts, so the same view is cheaper through several small kernels. What
serves another purpose (stems on raw channels, depthwise kernels, patch embeddings, layers as large as their map) is
told apart by structure and shapes.
"""
