//! Who may do what, at the API.
//!
//! A call comes from a peer; the peer shows a certificate or a token; that is an identity; the
//! configuration grants it roles; and the method that is called says, as an option in its
//! contract, which role it needs and whether that is one in the saga's namespace. The methods
//! themselves receive a [`Principal`] and know no certificate. Where `auth` is not configured,
//! everybody may do everything.
//!
//! Reading order: `policy` (what methods need), [`grants`](AuthConfig) (who has what), `tokens`
//! with `keys` and `signatures` (whom a token names), `failures` (who has to wait), `login` (who
//! calls), `principal` (the same, for methods), `layer` (all of it, around every method).

mod failures;
mod grants;
mod keys;
mod layer;
mod login;
mod policy;
mod principal;
mod signatures;
mod tokens;

pub use grants::{AuthConfig, AuthError, Grant};
pub(crate) use layer::Gate;
pub use policy::{Policy, Role, Rule};
pub(crate) use principal::Principal;
pub use tokens::TokensConfig;
