//! Questions to whoever called the command: at the terminal, or line by line from a pipe.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use anyhow::{Context, bail};
use console::Term;

/// Asks, or is told that nobody will answer.
pub(super) struct Questions {
    asks: bool,
}

impl Questions {
    pub(super) fn new(asks: bool) -> Self {
        Self { asks }
    }

    /// A text that is not shown while it is typed; it may come from the setting `name` instead.
    pub(super) fn secret(&self, question: &str, name: &str) -> anyhow::Result<String> {
        let answer = if self.asks && io::stdin().is_terminal() {
            prompt(&format!("{question}: "))?;
            let secret = Term::stderr().read_secure_line();
            Some(secret.context("cannot read from the terminal")?)
        } else {
            // Whoever calls it from a script may pipe the secret in, questions or not.
            read_line()?
        };
        let answer = answer.unwrap_or_default().trim().to_owned();
        if answer.is_empty() {
            bail!("{question} is needed: type it in, or set {name}");
        }
        Ok(answer)
    }

    /// A line; `usual` is taken when nothing is typed in, or nobody answers. It may come by `flag` instead.
    pub(super) fn line(&self, question: &str, flag: &str, usual: Option<&str>) -> anyhow::Result<String> {
        let suffix = usual.map(|usual| format!(" [{usual}]")).unwrap_or_default();
        let answer = self.ask(&format!("{question}{suffix} "))?.unwrap_or_default();
        match (answer.is_empty(), usual) {
            (false, _) => Ok(answer),
            (true, Some(usual)) => Ok(usual.to_owned()),
            (true, None) => bail!("{question} Answer with {flag}"),
        }
    }

    /// One of several, with its name; the only one without a question.
    pub(super) fn choose<T: Display>(
        &self,
        what: &str,
        flag: &str,
        mut choices: Vec<(T, Option<String>)>,
    ) -> anyhow::Result<(T, Option<String>)> {
        if choices.len() == 1 {
            return Ok(choices.remove(0));
        }
        if choices.is_empty() {
            bail!("the key's user sees no {what}: take the key of an administrator");
        }
        for (index, (id, name)) in choices.iter().enumerate() {
            eprintln!("{:>3}. {id} {}", index + 1, name.as_deref().unwrap_or_default());
        }
        let count = choices.len();
        let answer = self.line(&format!("Which {what} (1 to {count})?"), flag, None)?;
        let chosen: Option<usize> = answer.parse().ok();
        match chosen.filter(|number| (1..=count).contains(number)) {
            Some(number) => Ok(choices.swap_remove(number - 1)),
            None => bail!("that is none of the {count}: answer with a number, or with {flag}"),
        }
    }

    /// Yes or no. Where nothing is asked it is yes; where nobody answers, no.
    pub(super) fn confirm(&self, question: &str) -> anyhow::Result<bool> {
        if !self.asks {
            return Ok(true);
        }
        let answer = self.ask(&format!("{question} (y/n) "))?;
        Ok(answer.is_some_and(|answer| answer.to_lowercase().starts_with('y')))
    }

    /// Whether to try once more; only a person at a terminal can have done something meanwhile.
    pub(super) fn again(&self) -> anyhow::Result<bool> {
        if !(self.asks && io::stdin().is_terminal()) {
            return Ok(false);
        }
        let answer = self.ask("Press Enter to try again, or Ctrl-C to go on another time. ")?;
        Ok(answer.is_some())
    }

    /// `None`: nobody answers.
    fn ask(&self, question: &str) -> anyhow::Result<Option<String>> {
        if !self.asks {
            return Ok(None);
        }
        prompt(question)?;
        read_line()
    }
}

fn prompt(text: &str) -> anyhow::Result<()> {
    eprint!("{text}");
    io::stderr().flush().context("cannot write to the terminal")
}

/// `None` at the end of the input.
fn read_line() -> anyhow::Result<Option<String>> {
    let mut line = String::new();
    let read = io::stdin()
        .read_line(&mut line)
        .context("cannot read the answer")?;
    Ok((read > 0).then(|| line.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts(ids: &[&str]) -> Vec<(String, Option<String>)> {
        ids.iter().map(|id| ((*id).to_owned(), None)).collect()
    }

    #[test]
    fn the_only_one_is_chosen_without_a_question_and_of_several_the_flag_is_named() {
        let questions = Questions::new(false);
        let choose = |ids: &[&str]| questions.choose("account", "--account", accounts(ids));
        assert_eq!(choose(&["ACC1"]).unwrap().0, "ACC1");
        let error = choose(&["ACC1", "ACC2"]).unwrap_err().to_string();
        assert!(error.contains("--account"), "{error}");
        let error = choose(&[]).unwrap_err().to_string();
        assert!(error.contains("sees no account"), "{error}");
    }

    #[test]
    fn where_nothing_is_asked_the_usual_answer_is_taken_and_nothing_tried_again() {
        let questions = Questions::new(false);
        assert_eq!(questions.line("Where?", "--url", Some("here")).unwrap(), "here");
        assert!(questions.line("Where?", "--url", None).is_err());
        assert!(questions.confirm("Import?").unwrap());
        assert!(!questions.again().unwrap());
    }
}
