//! The shop's payment service, and a simulator of its payment providers.
