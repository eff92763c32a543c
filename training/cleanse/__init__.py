"""Cleansing of a doubtful snapshot before it becomes the trusted one."""
