"""Calls of torch operators -> `Graph`, without torch: live recordings and `.pt2` files go through the same table."""
