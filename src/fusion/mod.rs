//! Weighs evidence in log-odds. Pure.
