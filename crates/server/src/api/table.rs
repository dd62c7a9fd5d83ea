//! Paths, and what can be asked of each. One table gives the handler, the header `Allow`, and the names of spans.

use hyper::Method;

/// How many ids a path can have.
pub(super) const IDS_MAX: usize = 2;

/// A path as the published contract writes it, `/notifications/{id}`, with its calls.
#[derive(Debug)]
pub(crate) struct Route<H: 'static> {
    pub(crate) path: &'static str,
    pub(crate) calls: &'static [(Method, H)],
}

/// The ids that stand in a path, in their order; empty ones behind the last.
pub(crate) type Ids<'p> = [&'p str; IDS_MAX];

/// What a table says of a request.
#[derive(Debug)]
pub(crate) enum Lookup<'p, H: 'static> {
    /// This is to be called.
    Call(&'static Route<H>, &'static H, Ids<'p>),
    /// The path knows other methods.
    Method(&'static Route<H>),
    /// There is no such path.
    Nothing,
}

impl<H> Route<H> {
    /// Returns the ids of `path`, if it is of this kind. One slash at the end is none.
    fn ids<'p>(&self, path: &'p str) -> Option<Ids<'p>> {
        let mut ids = [""; IDS_MAX];
        if self.path == path {
            return Some(ids);
        }
        let path = path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path);
        let (mut segments, mut places) = (path.split('/'), ids.iter_mut());
        for expected in self.path.split('/') {
            let segment = segments.next()?;
            if expected.starts_with('{') && !segment.is_empty() {
                *places.next()? = segment;
            } else if expected != segment {
                return None;
            }
        }
        segments.next().is_none().then_some(ids)
    }

    /// The methods that the path knows, as the header `Allow` lists them.
    pub(crate) fn allow(&self) -> String {
        self.calls.iter().map(|(method, _)| method.as_str()).collect::<Vec<_>>().join(", ")
    }
}

impl<H> Lookup<'_, H> {
    /// Returns the path of the table, without ids.
    pub(crate) fn path(&self) -> Option<&'static str> {
        match self {
            Self::Call(route, ..) | Self::Method(route) => Some(route.path),
            Self::Nothing => None,
        }
    }
}

/// Finds what a request asks for; of two paths that fit, the first of the table.
#[inline]
pub(crate) fn look_up<'p, H>(routes: &'static [Route<H>], method: &Method, path: &'p str) -> Lookup<'p, H> {
    let Some((route, ids)) = routes.iter().find_map(|route| Some((route, route.ids(path)?))) else { return Lookup::Nothing };
    match route.calls.iter().find(|(known, _)| known == method) {
        Some((_, handler)) => Lookup::Call(route, handler, ids),
        None => Lookup::Method(route),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &[Route<u8>] = &[
        Route { path: "/things", calls: &[(Method::GET, 1), (Method::POST, 2)] },
        Route { path: "/things/all", calls: &[(Method::GET, 3)] },
        Route { path: "/things/{id}", calls: &[(Method::DELETE, 4)] },
        Route { path: "/things/{id}/parts/{part}", calls: &[(Method::GET, 5)] },
    ];

    fn found<'p>(method: &Method, path: &'p str) -> Result<(u8, Ids<'p>), Option<String>> {
        match look_up(ROUTES, method, path) {
            Lookup::Call(_, call, ids) => Ok((*call, ids)),
            Lookup::Method(route) => Err(Some(route.allow())),
            Lookup::Nothing => Err(None),
        }
    }

    #[test]
    fn a_path_is_found_with_its_ids_and_one_slash_at_its_end() {
        for (method, path, expected) in [
            (Method::GET, "/things", (1, ["", ""])),
            (Method::POST, "/things/", (2, ["", ""])),
            (Method::GET, "/things/all", (3, ["", ""])),
            (Method::DELETE, "/things/7", (4, ["7", ""])),
            (Method::DELETE, "/things/%2F/", (4, ["%2F", ""])),
            (Method::GET, "/things/7/parts/all", (5, ["7", "all"])),
        ] {
            assert_eq!(found(&method, path), Ok(expected), "{path}");
        }
    }

    #[test]
    fn other_methods_and_paths_are_told_apart() {
        assert_eq!(found(&Method::PUT, "/things"), Err(Some("GET, POST".to_owned())));
        assert_eq!(found(&Method::GET, "/things/7"), Err(Some("DELETE".to_owned())));
        for path in [
            "",
            "/",
            "//",
            "/thing",
            "/things//",
            "//things",
            "things",
            "/things/7/parts",
            "/things/7/parts//",
            "/things/7/parts/1/2",
        ] {
            assert_eq!(found(&Method::GET, path), Err(None), "{path}");
        }
    }
}
