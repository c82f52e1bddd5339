//! Plane geometry in fractions of the picture.
