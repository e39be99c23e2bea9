# The words of `subscribers`.
