//! Nearly every body is as it should be. Such a one is read here, straight into its members; whatever is not taken here is read
//! thoroughly, which tells every fault. Each text is held against the same rules on both ways.

use std::fmt;
use std::marker::PhantomData;

use arrayvec::ArrayVec;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Envelope, KnownProducts, PRODUCTS_MAX, Products, TARGETS_MAX, TELEPHONY};
use crate::id::NegotiatorId;
use crate::payload::{Payload, SubType, Texts};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Members<'a> {
    r#type: &'a str,
    sub_type: &'a str,
    #[serde(borrow)]
    products: ArrayVec<&'a str, PRODUCTS_MAX>,
    #[serde(borrow, deserialize_with = "object")]
    targets: Targets<'a>,
    #[serde(borrow, deserialize_with = "object")]
    payload: Texts<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Targets<'a> {
    #[serde(borrow)]
    negotiator_id: Vec<&'a str>,
}

/// Reads a body that is as it should be; `None` says nothing of one.
pub(super) fn read<'a>(body: &'a [u8], known: &KnownProducts) -> Option<Envelope<'a>> {
    let mut json = serde_json::Deserializer::from_str(std::str::from_utf8(body).ok()?);
    let members: Members<'a> = object(&mut json).ok()?;
    json.end().ok()?;
    let sub_type = SubType::ALL.into_iter().find(|sub_type| sub_type.name() == members.sub_type)?;
    let (products, targets) = (products(&members.products, known)?, targets(&members.targets.negotiator_id)?);
    let payload = Payload::of_texts(members.payload, sub_type)?;
    (members.r#type == TELEPHONY).then_some(Envelope { sub_type, products, targets, payload })
}

/// An object, and nothing else: what is derived takes a list of the values, too.
fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(json: D) -> Result<T, D::Error> {
    struct Object<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(members))
        }
    }

    json.deserialize_map(Object(PhantomData))
}

fn products(names: &[&str], known: &KnownProducts) -> Option<Products> {
    let mut products = ArrayVec::<_, PRODUCTS_MAX>::new();
    for name in names {
        let product = known.find(name)?;
        if !products.contains(product) {
            products.try_push(*product).ok()?;
        }
    }
    (!products.is_empty()).then(|| known.list(&products))
}

fn targets(names: &[&str]) -> Option<Vec<NegotiatorId>> {
    if !(1..=TARGETS_MAX).contains(&names.len()) {
        return None;
    }
    if is_named_twice(names) {
        return None;
    }
    let mut targets = Vec::with_capacity(names.len());
    for name in names {
        targets.push(NegotiatorId::parse(name).ok()?);
    }
    Some(targets)
}

fn is_named_twice(names: &[&str]) -> bool {
    if names.len() == 1 {
        return false;
    }
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    sorted.array_windows().any(|[one, next]| one == next)
}
