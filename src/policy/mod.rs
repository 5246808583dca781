//! Policy files to [`model::policy`](crate::model::policy).
//!
//! `yaml` makes a tree with places, `read` and `raw` say what may be written, `validate` what it means
//! and what is refused, `load` reads the folder, `watch` keeps reading it. Every problem of a file is
//! found in one go and says where it is and how to mend it.
//!
//! Nothing here speaks to a network or knows the live cluster.

pub mod ics;
pub mod load;
pub mod mend;
pub mod problem;
pub mod raw;
pub mod read;
pub mod validate;
pub mod watch;
pub mod yaml;

pub use crate::model::words::allows;
pub use load::{Folder, Reading, check};
pub use problem::{Problem, Problems};
pub use raw::schema;
pub use watch::keep_reading;
