//! annotator
