//! The fixed palette of everything that we draw.
