"""The storage of a compute unit, over tus and REST."""
