"""An HTTP service and its page: `agelens serve`."""
