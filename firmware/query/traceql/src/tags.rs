//! Names and values of what spans have.
