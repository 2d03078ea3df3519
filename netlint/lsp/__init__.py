"""The language server behind `netlint server`: what is saved is linted, and editors show what was found.

`targets` knows what there is to lint, `child` runs netlint in a process of its own, `findings` turns its report into
places in files, `linter` keeps these up to date; `connection` shows them, `told` and `asked` take what the editor says.
The server itself imports no torch and runs no code of the user's.
"""
