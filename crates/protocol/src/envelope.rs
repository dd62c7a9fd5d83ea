//! The envelope: bytes → [`Envelope`], or every fault with its path.
//!
//! Whether the caller may say what the envelope says is not decided here, but in [`crate::authorise`].

mod fast; // one that is as it should be

use std::sync::Arc;

use crate::fault::{FAULTS_MAX, Faults, Malformed, Members, shown};
use crate::id::{NegotiatorId, Product};
use crate::json::{self, Json};
use crate::payload::{Payload, SubType, negotiator};

/// How large a body can be.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// How many products an envelope can name.
pub const PRODUCTS_MAX: usize = 8;
/// How many negotiators an envelope can name.
pub const TARGETS_MAX: usize = 100;

/// The products of an event, in the order in which they were named.
pub type Products = Arc<[Product]>;

/// The products of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownProducts {
    /// Each as the list of an event that names no other: nearly all do, and share it.
    alone: Vec<Products>,
}

impl<'p> FromIterator<&'p Product> for KnownProducts {
    fn from_iter<I: IntoIterator<Item = &'p Product>>(products: I) -> Self {
        Self { alone: products.into_iter().map(|product| Products::from([*product])).collect() }
    }
}

impl KnownProducts {
    fn iter(&self) -> impl Iterator<Item = &Product> {
        self.alone.iter().flat_map(|products| products.iter())
    }

    fn find(&self, name: &str) -> Option<&Product> {
        self.iter().find(|product| product.as_str() == name)
    }

    fn list(&self, products: &[Product]) -> Products {
        let shared = self.alone.iter().find(|alone| ***alone == *products);
        shared.cloned().unwrap_or_else(|| products.into())
    }
}

/// A well-formed notification; borrows from the body.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope<'a> {
    /// What happened. The type is `telephony`, the only one so far.
    pub sub_type: SubType,
    /// The products that are told, each known and named once.
    pub products: Products,
    /// The negotiators who are told, without repeats, at least one.
    pub targets: Vec<NegotiatorId>,
    /// What is told.
    pub payload: Payload<'a>,
}

const MEMBERS: [&str; 5] = ["type", "subType", "products", "targets", "payload"];
const TELEPHONY: &str = "telephony";

impl<'a> Envelope<'a> {
    /// Reads `body`; `known` are the products of this node.
    ///
    /// # Errors
    /// [`Malformed::Unreadable`] with line and column, [`Malformed::Invalid`] with all that is wrong.
    pub fn parse(body: &'a [u8], known: &KnownProducts) -> Result<Self, Malformed> {
        fast::read(body, known).map_or_else(|| read_thoroughly(body, known), Ok)
    }
}

fn read_thoroughly<'a>(body: &'a [u8], known: &KnownProducts) -> Result<Envelope<'a>, Malformed> {
    let json = json::read(body)?;
    let mut faults = Faults::default();
    let envelope = read(json, known, &mut faults);
    match envelope {
        Some(envelope) if faults.is_empty() => Ok(envelope),
        Some(_) | None => Err(Malformed::Invalid(faults)),
    }
}

fn read<'a>(json: Json<'a>, known: &KnownProducts, faults: &mut Faults) -> Option<Envelope<'a>> {
    let mut members = Members::open(json, "", &MEMBERS, faults)?;
    let kind = one_of(&mut members, "type", &[TELEPHONY], faults);
    let names = SubType::ALL.map(SubType::name);
    let sub_type = one_of(&mut members, "subType", &names, faults).and_then(|place| SubType::ALL.get(place).copied());
    let products = members.require("products", faults).and_then(|json| products(json, known, faults));
    let targets = members.require("targets", faults).and_then(|json| targets(json, faults));
    let payload = members.require("payload", faults);
    // Where the sub-type is wrong, the payload is held against the widest of them, so that its faults are told as well.
    let payload = Payload::parse(payload?, sub_type.unwrap_or(SubType::EndedCall), faults);
    let _telephony = kind?;
    Some(Envelope { sub_type: sub_type?, products: products?, targets: targets?, payload: payload? })
}

/// Takes a member that must be one of `names`, and returns the place of it.
fn one_of(members: &mut Members<'_>, name: &str, names: &[&str], faults: &mut Faults) -> Option<usize> {
    let json = members.require(name, faults)?;
    let message = match &json {
        Json::String(text) => match names.iter().position(|known| known == text) {
            Some(place) => return Some(place),
            None => format!("must be {}; got {}", names.join(", "), shown(text)),
        },
        other => format!("must be a string, got {}", other.kind()),
    };
    faults.add(members.at(name), message);
    None
}

fn products(json: Json<'_>, known: &KnownProducts, faults: &mut Faults) -> Option<Products> {
    let values = list(json, "products", PRODUCTS_MAX, faults)?;
    let mut products = Vec::with_capacity(values.len());
    let before = faults.as_slice().len();
    for (place, value) in values.iter().enumerate() {
        match product(value, known) {
            Ok(product) if products.contains(&product) => {}
            Ok(product) => products.push(product),
            Err(message) => faults.add(format!("products[{place}]"), message),
        }
    }
    (faults.as_slice().len() == before).then(|| known.list(&products))
}

fn product(json: &Json<'_>, known: &KnownProducts) -> Result<Product, String> {
    let Json::String(text) = json else {
        return Err(format!("must be a string, got {}", json.kind()));
    };
    known.find(text).copied().ok_or_else(|| {
        let names: Vec<_> = known.iter().map(Product::as_str).collect();
        format!("must be one of {}; got {}", names.join(", "), shown(text))
    })
}

fn targets(json: Json<'_>, faults: &mut Faults) -> Option<Vec<NegotiatorId>> {
    let mut members = Members::open(json, "targets", &["negotiatorId"], faults)?;
    let values = list(members.require("negotiatorId", faults)?, "targets.negotiatorId", TARGETS_MAX, faults)?;
    let mut targets = Vec::with_capacity(values.len());
    for (place, value) in values.iter().enumerate() {
        let checked = negotiator(value).and_then(|target| match targets.contains(&target) {
            true => Err(format!("{target} is named more than once")),
            false => Ok(target),
        });
        match checked {
            Ok(target) => targets.push(target),
            Err(message) => faults.add(format!("targets.negotiatorId[{place}]"), message),
        }
    }
    (targets.len() == values.len()).then_some(targets)
}

/// Reads an array of 1 to `max` values.
fn list<'a>(json: Json<'a>, path: &'static str, max: usize, faults: &mut Faults) -> Option<Vec<Json<'a>>> {
    let message = match json {
        Json::Array(values) if (1..=max).contains(&values.len()) => return Some(values),
        Json::Array(values) => format!("must have 1 to {max} entries, got {}", values.len()),
        other => format!("must be an array, got {}", other.kind()),
    };
    faults.add(path, message);
    None
}

const _: () = assert!(FAULTS_MAX >= TARGETS_MAX, "each wrong target is told");

#[cfg(test)]
mod tests;
