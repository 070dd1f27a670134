//! What is deployed: manifests of Kubernetes, images, units of systemd, and the manual that
//! tells how. Read as the tools read it that people will use, and compared with what the
//! programs do.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod budgets;
mod images;
mod in_image;
mod kubernetes;
mod manifests;
mod manual;
mod network;
mod settings;
mod systemd;
mod tools;
