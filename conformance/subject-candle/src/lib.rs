//! The thin layer over candle.
