//! CONFIG: an owner reads and changes the server's settings; the store keeps what was changed. See [`Setting`].

use super::super::Server;
use super::super::conn::Memo;
use super::super::input::Flow;
use super::super::job::Task;
use super::super::request::What;
use crate::config::{Applies, Setting, VALUE_MAX};
use crate::irc::message::Message;
use crate::text::Text;

impl Server<'_> {
    pub(super) fn config(&mut self, c: u32, m: &Message<'_>) -> Flow {
        if !self.is_owner(c) {
            self.fail(
                c,
                "CONFIG",
                format_args!("NOT_OWNER * :Only an owner of this server may do that"),
            );
            return Flow::Done;
        }
        let subcommand = m.param(0).unwrap_or_default();
        if subcommand.eq_ignore_ascii_case("LIST") {
            self.once(c, Task::Settings)
        } else if subcommand.eq_ignore_ascii_case("SET") {
            // A value of two words may come without a colon.
            let mut value = Text::<VALUE_MAX>::default();
            let fits = m
                .params()
                .iter()
                .skip(2)
                .enumerate()
                .all(|(i, word)| (i == 0 || value.push_str(" ")) && value.push_str(word));
            let value = if fits { &*value } else { "" };
            self.config_set(c, m.param(1).unwrap_or_default(), value)
        } else {
            self.fail(
                c,
                "CONFIG",
                format_args!("UNKNOWN_SUBCOMMAND * :Use LIST, or SET with a setting and its value"),
            );
            Flow::Done
        }
    }

    fn config_set(&mut self, c: u32, name: &str, value: &str) -> Flow {
        let Some(setting) = Setting::named(name) else {
            let shown = Text::<32>::truncated(if name.is_empty() { "*" } else { name });
            self.fail(
                c,
                "CONFIG",
                format_args!(
                    "UNKNOWN_SETTING {shown} :There is no such setting; CONFIG LIST shows all"
                ),
            );
            return Flow::Done;
        };
        let name = setting.name();
        if self.config.fixed & setting.bit() != 0 {
            self.fail(c, "CONFIG", format_args!(
                "FIXED {name} :It is set in the server's configuration file, and must be changed there"
            ));
            return Flow::Done;
        }
        let applies = match ({ self.config }).change(setting, value) {
            Ok(applies) => applies,
            Err(wrong) => {
                self.fail(c, "CONFIG", format_args!("INVALID_VALUE {name} :{wrong}"));
                return Flow::Done;
            }
        };
        match self.conns[c].memo {
            Memo::Done => {
                let server = self.config.server_name;
                let when = match applies {
                    Applies::Now => "from now on",
                    Applies::NextStart => "when the server starts the next time",
                };
                self.reply(
                    c,
                    format_args!(":{server} NOTE CONFIG SET_DONE {name} :{name} is {value} {when}"),
                );
                Flow::Done
            }
            Memo::Refused(reason) => {
                self.refused(c, "CONFIG", name, reason);
                Flow::Done
            }
            _ => {
                self.ask(
                    c,
                    What::PutConfig(setting, Text::<VALUE_MAX>::truncated(value)),
                );
                Flow::Wait
            }
        }
    }
}
