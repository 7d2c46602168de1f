//! Whole processes over HTTP.
