//! Folder: bundles that travel as files, on a disk that somebody carries.
//!
//! A folder holds one file for each bundle, `<bundle id>.bundle`, which is the
//! bundle as RFC 9171 has it. A peer that watches a folder writes what it holds
//! and the folder lacks, and takes what the folder holds and it lacks; so two
//! peers that see one disk in turn are in contact. Files are written under
//! another name, synced, and renamed: a disk pulled out at any moment holds
//! whole bundles, and remains named `.part` that the next scan removes.
//!
//! The name is a hint: what counts is the bundle inside, which is checked like
//! one from a contact. A file that was cut short or zeroed is written again by a
//! peer that holds its bundle. Nothing is deleted but remains and, when asked for, what
//! has expired.

mod file;
mod scan;
mod watch;

#[cfg(test)]
pub(in crate::shell) use file::write;
pub(in crate::shell) use file::{BundleFile, bundle_bytes_max, check_place, list, read};
pub(in crate::shell) use scan::{Found, Seen, Written, write_lacked};
pub(in crate::shell) use watch::{Scanned, Watch};
