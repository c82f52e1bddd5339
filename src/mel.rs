//! Log-mel features.
