//! A source file as the rules see it: its tokens, and which of them only tests are built with.

use super::Violation;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) line: usize,
}

/// One source file, ready to be judged.
pub(super) struct Source {
    /// Relative to the package, with `/`.
    pub(super) path: String,
    /// Its module's place in the crate: `["gate", "map"]`; empty outside `src` and for its roots.
    pub(super) module: Vec<String>,
    pub(super) first_line: String,
    pub(super) lines: usize,
    /// Without comments and strings.
    pub(super) tokens: Vec<Token>,
    /// As `tokens`, without the parts that only tests are built with.
    pub(super) program: Vec<Token>,
    /// Lines of those parts.
    pub(super) test_lines: usize,
    /// Modules in files of their own that only tests are built with.
    pub(super) test_modules: Vec<String>,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let tokens = tokens(&blanked(text));
        let (program, test_lines, test_modules) = without_tests(&tokens);
        let module = path
            .strip_prefix("src/")
            .and_then(|path| path.strip_suffix(".rs"))
            .map(|path| path.split('/').map(str::to_owned).collect::<Vec<_>>())
            .map(|mut names| {
                names.pop_if(|name| ["mod", "lib", "main"].contains(&name.as_str()));
                names
            })
            .unwrap_or_default();
        Self {
            path: path.to_owned(),
            module,
            first_line: text.lines().next().unwrap_or_default().to_owned(),
            lines: text.lines().count(),
            tokens,
            program,
            test_lines,
            test_modules,
        }
    }

    pub(super) fn is_of_the_program(&self) -> bool {
        self.path.starts_with("src/")
    }

    pub(super) fn breaks(
        &self,
        line: usize,
        rule: impl Into<String>,
        mend: &'static str,
    ) -> Violation {
        Violation {
            file: self.path.clone(),
            line,
            rule: rule.into(),
            mend,
        }
    }
}

/// The text with comments, strings and characters replaced by spaces; lines stay where they are.
fn blanked(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match skipped_to(&chars, at) {
            Some(end) => end,
            None => {
                out.push(chars[at]);
                at += 1;
                continue;
            }
        };
        let skipped = &chars[at..end];
        out.extend(skipped.iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    out
}

/// Where the comment or literal that begins at `at` ends, if one does.
fn skipped_to(chars: &[char], at: usize) -> Option<usize> {
    let rest = &chars[at..];
    let from = |text: &str| rest.starts_with(&text.chars().collect::<Vec<_>>());
    let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
    if from("//") {
        let line = rest.iter().position(|c| *c == '\n').unwrap_or(rest.len());
        return Some(at + line);
    }
    if from("/*") {
        return Some(end_of_block_comment(chars, at));
    }
    if at > 0 && is_word(&chars[at - 1]) {
        // The `r` of `for"`, or a lifetime's tail: no literal begins inside a word.
        return (rest[0] == '"').then(|| end_of_string(chars, at));
    }
    let prefix = rest.iter().take_while(|c| "brc".contains(**c)).count();
    let hashes = rest[prefix..].iter().take_while(|c| **c == '#').count();
    match rest.get(prefix + hashes) {
        Some('"') if rest[..prefix].contains(&'r') => {
            let mut close = vec!['"'];
            close.extend(std::iter::repeat_n('#', hashes));
            let body = at + prefix + hashes + 1;
            let length = chars[body..]
                .windows(close.len())
                .position(|it| it == close);
            Some(length.map_or(chars.len(), |length| body + length + close.len()))
        }
        Some('"') if hashes == 0 => Some(end_of_string(chars, at + prefix)),
        Some('\'') if hashes == 0 && prefix <= 1 => {
            let quote = at + prefix;
            match (chars.get(quote + 1), chars.get(quote + 2)) {
                (Some('\\'), _) => {
                    let tail = chars[quote + 3..].iter().position(|c| *c == '\'');
                    tail.map(|tail| quote + 3 + tail + 1)
                }
                (Some(_), Some('\'')) => Some(quote + 3),
                _ => None,
            }
        }
        _ => None,
    }
}

fn end_of_string(chars: &[char], quote: usize) -> usize {
    let mut at = quote + 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

fn end_of_block_comment(chars: &[char], from: usize) -> usize {
    let (mut at, mut depth) = (from, 0);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (at, depth) = (at + 2, depth + 1),
            ('*', Some('/')) => {
                (at, depth) = (at + 2, depth - 1);
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    chars.len()
}

/// Words, `::`, and every other character by itself.
fn tokens(code: &str) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::new();
    let (mut line, mut is_in_word, mut is_after_colon) = (1, false, false);
    for c in code.chars() {
        let is_word = c.is_alphanumeric() || c == '_';
        match out.last_mut() {
            Some(last) if is_word && is_in_word => last.text.push(c),
            Some(last) if c == ':' && is_after_colon => last.text.push(c),
            _ if c.is_whitespace() => {}
            _ => out.push(Token {
                text: c.to_string(),
                line,
            }),
        }
        is_after_colon = c == ':' && !is_after_colon;
        is_in_word = is_word;
        line += usize::from(c == '\n');
    }
    out
}

pub(super) fn reads(tokens: &[Token], words: &[&str]) -> bool {
    tokens.len() >= words.len() && tokens.iter().zip(words).all(|(it, word)| it.text == *word)
}

/// The index after the item that begins at `at`: after its `;` or the `}` of its body.
pub(super) fn end_of_item(tokens: &[Token], at: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(at) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => {
                depth = depth.saturating_sub(1);
                if depth == 0 && token.text == "}" {
                    return index + 1;
                }
            }
            ";" if depth == 0 => return index + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// The tokens outside `#[cfg(test)]` items, the lines inside, and test modules with a file.
fn without_tests(tokens: &[Token]) -> (Vec<Token>, usize, Vec<String>) {
    let (mut program, mut lines, mut modules) = (Vec::new(), 0, Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        if !reads(&tokens[at..], &["#", "[", "cfg", "(", "test", ")", "]"]) {
            program.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let end = end_of_item(tokens, at + 7);
        let item = &tokens[at + 7..end];
        lines += tokens[end - 1].line - tokens[at].line + 1;
        let name = item.iter().position(|token| token.text == "mod");
        if let Some(name) = name.and_then(|at| item.get(at + 1))
            && item.last().is_some_and(|last| last.text == ";")
        {
            modules.push(name.text.clone());
        }
        at = end;
    }
    (program, lines, modules)
}

/// Whether the file belongs to a module that only tests are built with.
pub(super) fn is_for_tests(source: &Source, sources: &[Source]) -> bool {
    sources.iter().any(|parent| {
        source.module.len() > parent.module.len()
            && source.module.starts_with(&parent.module)
            && parent.is_of_the_program()
            && parent
                .test_modules
                .contains(&source.module[parent.module.len()])
    })
}
