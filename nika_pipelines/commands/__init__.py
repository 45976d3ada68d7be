"""The commands of `nika`, grouped by what they do; each is thin and prints what others computed."""
