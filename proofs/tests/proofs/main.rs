//! Statements, whole updates, keys and ceremonies through the public interface: one program, since the arithmetic of two curves is
//! compiled into each.

#[cfg(test)]
mod aggregate;
#[cfg(test)]
mod common;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod gradient;
#[cfg(test)]
mod statements;
#[cfg(test)]
mod update;
