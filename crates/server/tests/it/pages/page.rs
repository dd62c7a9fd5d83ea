//! A page, taken apart: what it names, and where.

/// A page of the repository.
pub(super) struct Page {
    pub(super) name: &'static str,
    /// What stands in backticks in the prose.
    pub(super) spans: Vec<String>,
    /// What links point at, but those that lead to other sites.
    pub(super) links: Vec<String>,
    /// The headings, as links name them.
    pub(super) anchors: Vec<String>,
    /// The paths that `curl` asks for in blocks of shell.
    pub(super) requests: Vec<String>,
    /// The settings that blocks of TOML and variables of the environment set.
    pub(super) settings: Vec<String>,
    /// The commands in blocks of shell, one each.
    shell: Vec<String>,
    /// The first cells of tables of commands, of the program that the page is about.
    tabled: Vec<String>,
}

impl Page {
    pub(super) fn read(name: &'static str, text: &str) -> Self {
        let mut page = Self {
            name,
            spans: Vec::new(),
            links: Vec::new(),
            anchors: Vec::new(),
            requests: Vec::new(),
            settings: Vec::new(),
            shell: Vec::new(),
            tabled: Vec::new(),
        };
        // Prose and blocks take turns.
        for (place, part) in text.split("```").enumerate() {
            let (language, block) = part.split_once('\n').unwrap_or(("", part));
            match language {
                _ if place % 2 == 0 => page.prose(part),
                "sh" => page.shell(block),
                "toml" => page.toml(block),
                _ => {}
            }
        }
        let variables = text.split("BELLWIRE_").skip(1).map(|rest| rest.split(|c: char| !c.is_ascii_uppercase() && c != '_'));
        let variables = variables.filter_map(|mut words| words.next()?.split_once("__"));
        page.settings.extend(variables.map(|(section, key)| format!("{section}.{key}").to_lowercase()));
        page
    }

    fn prose(&mut self, text: &str) {
        let mut in_commands = false;
        for line in text.lines() {
            if let Some(heading) = line.strip_prefix('#') {
                self.anchors.push(anchor(heading.trim_start_matches('#').trim()));
            }
            let first = line.strip_prefix('|').and_then(|row| row.split('|').next()).map(str::trim);
            in_commands = first.is_some_and(|cell| in_commands || cell == "command");
            if in_commands {
                self.tabled.extend(spans(first.unwrap_or_default()));
            }
        }
        self.spans.extend(spans(text));
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        self.links.extend(links.filter(|link| !link.starts_with("http")).map(str::to_owned));
    }

    fn shell(&mut self, block: &str) {
        let block = block.replace("\\\n", " ");
        for line in block.lines().map(|line| line.split(" #").next().unwrap_or_default()) {
            let asked = ["http://127.0.0.1:8080/", "http://127.0.0.1:9090/"].iter().filter_map(|site| line.split_once(site));
            let path = |rest: &str| format!("/{}", rest.split([' ', '"', '\'']).next().unwrap_or_default());
            self.requests.extend(asked.map(|(_, rest)| path(rest)).filter(|path| !path.contains('$') && path != "/"));
            self.shell.extend(line.split(['|', '&', ';', '(', ')', '>', '<']).map(|part| part.trim().to_owned()));
        }
    }

    fn toml(&mut self, block: &str) {
        let mut section = "";
        for line in block.lines() {
            match line.split_once(" = ") {
                // What an issuer has is no key of its own.
                Some(_) if section == "auth.issuers" => {}
                Some((key, _)) => {
                    self.settings.push(if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") })
                }
                None if line.starts_with('[') => section = line.trim_matches(['[', ']']),
                None => {}
            }
        }
    }

    /// What stands behind `program` wherever it is called, in prose, in tables and in blocks.
    pub(super) fn commands(&self, program: &str) -> Vec<String> {
        let begins = [program.to_owned(), format!("/{program}"), format!("target/release/{program}")];
        let behind = |text: &str| {
            let calls = |begin: &String| {
                let is_alone = text.starts_with(begin.as_str()).then_some(begin.len());
                // In a container.
                is_alone.or_else(|| Some(text.find(&format!(" /{program} "))? + program.len() + 2))
            };
            let rest = text.get(begins.iter().find_map(calls)?..)?;
            Some(rest.strip_prefix(' ')?.trim().to_owned())
        };
        let mut commands: Vec<_> = self.spans.iter().chain(&self.shell).filter_map(|text| behind(text)).collect();
        let tabled = if self.name.starts_with("loadtest/") { "bellwire-loadtest" } else { "bellwire" };
        if program == tabled {
            commands.extend(self.tabled.iter().filter(|cell| !cell.starts_with("cargo ")).cloned());
        }
        commands
    }
}

/// What stands in backticks; a line may end within.
fn spans(text: &str) -> Vec<String> {
    let paragraphs = text.split("\n\n").flat_map(|paragraph| paragraph.split("\n|"));
    let inside = paragraphs.flat_map(|paragraph| paragraph.split('`').skip(1).step_by(2));
    inside.map(|span| span.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// A heading as links name it.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect()
}

/// The words of a command line, without their quotes.
pub(super) fn words(line: &str) -> Vec<String> {
    let (mut words, mut quote) = (vec![String::new()], None);
    for c in line.chars() {
        match (c, quote) {
            ('"' | '\'', None) => quote = Some(c),
            (_, Some(open)) if c == open => quote = None,
            (' ', None) => words.push(String::new()),
            _ => words.last_mut().unwrap().push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
