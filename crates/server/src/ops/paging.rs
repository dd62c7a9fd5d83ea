//! Lists, a page at a time: what they hold is an array, and the way to the next page stands in the header `Link` (RFC 8288), so that
//! an array it stays.

use hyper::Response;
use hyper::header::{HeaderValue, LINK};
use serde_json::Value;

use super::json;
use crate::api::faults::ApiError;
use crate::net::outgoing::Outgoing;
use crate::net::request::Head;

const SIZE_DEFAULT: usize = 100;
const SIZE_MAX: usize = 1000;

/// Which part of a list is asked for, and of what.
#[derive(Debug)]
pub(super) struct Page {
    /// How many entries, 1 to 1,000.
    pub(super) size: usize,
    /// Only what stands behind the entry with this key.
    pub(super) after: Option<String>,
    filters: Vec<(String, String)>,
}

impl Page {
    /// Reads a query; `filters` names what else can be asked for.
    pub(super) fn read(head: Head<'_>, filters: &[&str]) -> Result<Self, ApiError> {
        let mut page = Self { size: SIZE_DEFAULT, after: None, filters: Vec::new() };
        for (name, value) in form_urlencoded::parse(head.query.unwrap_or_default().as_bytes()) {
            match name.as_ref() {
                "pageSize" => page.size = size(&value)?,
                "after" => page.after = Some(value.into_owned()),
                _ if !filters.contains(&&*name) => {
                    let known = [filters, &["pageSize", "after"]].concat().join(", ");
                    let text = format!("The query parameter {name:?} is not known here; known are {known}");
                    return Err(ApiError::Unreadable(text));
                }
                _ if page.filter(&name).is_some() => {
                    return Err(ApiError::Unreadable(format!("The query parameter {name} is given more than once")));
                }
                _ => page.filters.push((name.into_owned(), value.into_owned())),
            }
        }
        Ok(page)
    }

    fn filter(&self, name: &str) -> Option<&str> {
        self.filters.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// A filter as what it is.
    pub(super) fn parsed<T, E: std::fmt::Display>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, ApiError> {
        let parsed = self.filter(name).map(parse).transpose();
        parsed.map_err(|error| ApiError::Unreadable(format!("The query parameter {name} {error}")))
    }

    /// The place that is behind, as what it is.
    pub(super) fn place<T, E: std::fmt::Display>(&self, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<Option<T>, ApiError> {
        let parsed = self.after.as_deref().map(parse).transpose();
        parsed.map_err(|error| ApiError::Unreadable(format!("The query parameter after {error}")))
    }

    /// The page of a whole list, which stands in memory: keys and entries.
    pub(super) fn of(self, head: Head<'_>, all: impl Iterator<Item = (String, Value)>) -> Result<Response<Outgoing>, ApiError> {
        let mut all: Vec<_> = all.filter(|(key, _)| self.after.as_ref().is_none_or(|after| key > after)).collect();
        all.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        all.truncate(self.size + 1);
        self.answer(head, all)
    }

    /// Answers with a page. `entries` stand behind `after`, in order; one more than the page holds says that there is another.
    pub(super) fn answer(self, head: Head<'_>, mut entries: Vec<(String, Value)>) -> Result<Response<Outgoing>, ApiError> {
        let more = entries.len() > self.size;
        entries.truncate(self.size);
        let next = entries.last().filter(|_| more).map(|(key, _)| self.link(head.path, key));
        let mut response = json(&entries.into_iter().map(|(_, entry)| entry).collect::<Vec<_>>())?;
        if let Some(Ok(link)) = next.map(|next| HeaderValue::from_str(&next)) {
            response.headers_mut().insert(LINK, link);
        }
        Ok(response)
    }

    fn link(&self, path: &str, after: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.filters).append_pair("pageSize", &self.size.to_string()).append_pair("after", after);
        format!("<{path}?{}>; rel=\"next\"", query.finish())
    }
}

fn size(text: &str) -> Result<usize, ApiError> {
    let size = text.parse().ok().filter(|size| (1..=SIZE_MAX).contains(size));
    size.ok_or_else(|| ApiError::Unreadable(format!("The query parameter pageSize must be 1 to {SIZE_MAX}, got {text:?}")))
}
