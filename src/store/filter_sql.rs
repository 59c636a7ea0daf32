//! A filter as SQL conditions, values bound.
