//! Routing and custody: which bundle goes to whom, who is known to hold it, and what stays.
//!
//! Pure decisions over what a peer knows. No part of it sends, stores or reads a clock: time, contacts and
//! acknowledgements come in, and what to do goes out. Value, class and priority of a bundle are the
//! peer's; nothing here knows what a bundle means.
//!
//! - [`plan`]: contact plans, in ION's text form and in JSON.
//! - [`graph`]: contact-graph routing over a plan (CCSDS 734.3-B-1, SABR).
//! - [`spray`]: binary spray-and-wait for bundles to one node whom no plan covers.
//! - [`custody`]: who holds a bundle durably, and the signal that says so.
//! - [`quota`]: what is kept when there is too little room, and a record of what is not.
//! - [`policy`]: the machine that orders what to hand to which neighbour.
//! - [`forecast`]: traffic and disk of a federation, before joining it.

pub mod custody;
pub mod forecast;
pub mod graph;
pub mod plan;
pub mod policy;
pub mod quota;
pub mod spray;
