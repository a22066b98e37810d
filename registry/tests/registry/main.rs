//! The registry as a whole: manifests, logs and audit files made through the
//! real transport and aggregation, then attacked.

#[cfg(test)]
mod aggregate;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod audit_proofs;
#[cfg(test)]
mod binary;
#[cfg(test)]
mod ceremony;
#[cfg(test)]
mod flips;
#[cfg(test)]
mod fraud;
#[cfg(test)]
mod manifest;
#[cfg(test)]
mod privacy;
#[cfg(test)]
mod proving;
#[cfg(test)]
mod seal;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod world;
