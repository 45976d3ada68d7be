"""The document model and its back ends; knows nothing of what a document is about."""
