//! Reapit's paging: pages by number, with links to the first, the next and the last.

use serde_json::{Value, json};

use crate::api::faults::ApiError;

pub(crate) const PAGE_SIZE_DEFAULT: usize = 25;
pub(crate) const PAGE_SIZE_MAX: usize = 100;

/// Which page is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    pub(crate) size: usize,
    pub(crate) number: usize,
}

impl Default for Page {
    fn default() -> Self {
        Self { size: PAGE_SIZE_DEFAULT, number: 1 }
    }
}

impl Page {
    /// Takes a parameter of the query, if it is one of a page's. Reapit's links write the names with a capital letter.
    pub(crate) fn take(&mut self, name: &str, value: &str) -> Result<bool, String> {
        match name.to_ascii_lowercase().as_str() {
            "pagesize" => self.size = number(value, PAGE_SIZE_MAX)?,
            "pagenumber" => self.number = number(value, usize::MAX)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// One page of `all`, with what is known of the others. `query` is that of the request: its filters stand in the links.
    pub(crate) fn of(self, all: &[Value], path: &str, query: &str) -> Value {
        let Self { size, number } = self;
        let page: Vec<_> = all.iter().skip((number - 1).saturating_mul(size)).take(size).collect();
        let pages = all.len().div_ceil(size);
        json!({
            "_embedded": page,
            "pageNumber": number,
            "pageSize": size,
            "pageCount": page.len(),
            "totalPageCount": pages,
            "totalCount": all.len(),
            "_links": self.links(path, query, pages),
        })
    }

    /// `self`, `first`, `next` and `last`, with the filters that were asked for.
    fn links(self, path: &str, query: &str, pages: usize) -> Value {
        let is_filter = |name: &str| !name.eq_ignore_ascii_case("pageSize") && !name.eq_ignore_ascii_case("pageNumber");
        let filters: Vec<_> = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| is_filter(name)).collect();
        let link = |number: usize| {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.append_pair("PageNumber", &number.to_string()).append_pair("PageSize", &self.size.to_string());
            query.extend_pairs(&filters);
            json!({"href": format!("{path}?{}", query.finish())})
        };
        let mut links = json!({"self": link(self.number), "first": link(1), "last": link(pages.max(1))});
        if self.number < pages
            && let Some(links) = links.as_object_mut()
        {
            links.insert("next".to_owned(), link(self.number + 1));
        }
        links
    }
}

/// Reads the parameters of a query; `take` says of each what is wrong with it.
pub(crate) fn parameters(query: &str, mut take: impl FnMut(&str, &str) -> Result<(), String>) -> Result<(), ApiError> {
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        take(&name, &value).map_err(|rule| {
            ApiError::Unreadable(format!("The query parameter {name} {rule}, got {}", protocol::fault::shown(&value)))
        })?;
    }
    Ok(())
}

/// Reads a number from 1 to `max`.
pub(crate) fn number(value: &str, max: usize) -> Result<usize, String> {
    let number = value.parse().ok().filter(|number| (1..=max).contains(number));
    number.ok_or_else(|| if max == usize::MAX { "must be 1 or more".to_owned() } else { format!("must be 1 to {max}") })
}
