//! The hot map (to be written).
