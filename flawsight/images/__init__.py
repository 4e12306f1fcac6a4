"""Pictures and masks of defects, from files to arrays."""
