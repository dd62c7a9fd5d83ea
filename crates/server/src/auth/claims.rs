//! What a token says: our own claims, and Reapit's names for the same.

use jiff::Timestamp;
use protocol::authorise::{Caller, Identity};
use protocol::id::{ClientId, CustomerId, NegotiatorId, Product, Recipient};
use serde::Deserialize;

use super::{TokenError, scopes};

/// The product of a person whose token names none.
const PRODUCT_DEFAULT: &str = "AgencyCloud";

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Claims {
    iss: Option<String>,
    exp: Option<f64>,
    nbf: Option<f64>,
    aud: Audience,
    #[serde(rename = "client_id")]
    client_id: Option<String>,
    azp: Option<String>,
    scope: Option<String>,
    customer_id: Option<String>,
    #[serde(rename = "custom:reapit:clientCode")]
    client_code: Option<String>,
    negotiator_id: Option<String>,
    #[serde(rename = "custom:reapit:userCode")]
    user_code: Option<String>,
    product: Option<String>,
    #[serde(rename = "custom:reapit:orgProduct")]
    org_product: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
    #[default]
    None,
}

impl Claims {
    pub(super) fn issuer(&self) -> Option<&String> {
        self.iss.as_ref()
    }

    /// Whether the token is for `audience`, where one is asked for.
    pub(super) fn is_for(&self, audience: Option<&str>) -> bool {
        let Some(audience) = audience else { return true };
        match &self.aud {
            Audience::One(one) => one == audience,
            Audience::Many(many) => many.iter().any(|one| one == audience),
            Audience::None => false,
        }
    }

    pub(super) fn not_before(&self) -> Result<Option<Timestamp>, TokenError> {
        self.nbf.map(|seconds| timestamp("nbf", seconds)).transpose()
    }

    pub(super) fn into_caller(self) -> Result<Caller, TokenError> {
        let expires = self.exp.ok_or_else(|| TokenError::Claims("exp is required".to_owned()))?;
        let client_id = parsed("client_id", self.client_id.or(self.azp), ClientId::parse)?;
        let customer = parsed("customerId", self.customer_id.or(self.client_code), CustomerId::parse)?;
        let negotiator = parsed("negotiatorId", self.negotiator_id.or(self.user_code), NegotiatorId::parse)?;
        let product = self.product.or(self.org_product).unwrap_or_else(|| PRODUCT_DEFAULT.to_owned());
        let identity = match (customer, negotiator) {
            (None, None) => Identity::Application,
            (Some(customer), None) => Identity::Customer(customer),
            (Some(customer), Some(negotiator)) => {
                let product = Product::parse(&product).map_err(|error| TokenError::Claims(format!("product {error}")))?;
                Identity::Person(Recipient { customer, negotiator }, product)
            }
            (None, Some(_)) => return Err(TokenError::Claims("a negotiatorId needs a customerId beside it".to_owned())),
        };
        let scopes = scopes(self.scope.as_deref().unwrap_or_default());
        Ok(Caller { client_id: client_id.map(Box::new), scopes, identity, expires: timestamp("exp", expires)? })
    }
}

fn parsed<T>(
    claim: &str,
    text: Option<String>,
    parse: fn(&str) -> Result<T, protocol::id::IdError>,
) -> Result<Option<T>, TokenError> {
    text.map(|text| parse(&text)).transpose().map_err(|error| TokenError::Claims(format!("{claim} {error}")))
}

/// RFC 7519 §2, `NumericDate`: seconds since 1970, whole or not.
fn timestamp(claim: &str, seconds: f64) -> Result<Timestamp, TokenError> {
    let unusable = || TokenError::Claims(format!("{claim} must be a number of seconds since 1970"));
    let whole = seconds.trunc();
    if !(0.0..=253_402_207_200.0).contains(&whole) {
        return Err(unusable());
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked above: between 1970 and the year 9999")]
    let whole = whole as i64;
    Timestamp::from_second(whole).map_err(|_out_of_range| unusable())
}
