//! Colours by what they mean. A role becomes a style once, at the start, for the colours the terminal has.

use ratatui::style::{Color, Modifier, Style};
use std::collections::BTreeMap;
use std::str::FromStr as _;

macro_rules! roles {
    ($($(#[$doc:meta])* $role:ident $name:literal,)+) => {
        /// What a piece of text is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Role { $($(#[$doc])* $role,)+ }

        impl Role {
            const ALL: &'static [Self] = &[$(Self::$role,)+];

            /// Its name in a theme.
            pub(crate) const fn name(self) -> &'static str { match self { $(Self::$role => $name,)+ } }
        }
    };
}

roles! {
    /// Ordinary text.
    Text "text",
    /// Less important text.
    Muted "muted",
    /// Names of fields.
    Label "label",
    /// Title of a pane.
    Title "title",
    /// Title of the pane that has the keys.
    TitleFocused "title_focused",
    /// Lines between panes.
    Rule "rule",
    /// Day separators.
    Day "day",
    /// The selected line where the keys go.
    Selected "selected",
    /// The selected line elsewhere.
    SelectedUnfocused "selected_unfocused",
    /// Severity critical.
    Critical "critical",
    /// Severity warning.
    Warning "warning",
    /// A bar of critical events: never reversed, which would make a hole of it.
    CriticalBar "critical_bar",
    /// A bar of warnings.
    WarningBar "warning_bar",
    /// Severity info.
    Info "info",
    /// The mark of an event that has been verified.
    Verified "verified",
    /// The mark of an event that has not been verified.
    Unchecked "unchecked",
    /// The mark of an event that can be neither verified nor refuted.
    Unable "unable",
    /// The mark of an event whose content differs from its hash.
    Broken "broken",
    /// Something failed.
    Error "error",
    /// Something to know.
    Notice "notice",
    /// The word PRODUCTION.
    Production "production",
    /// A key in the footer and in help.
    Key "key",
    /// A value that came, and its mark.
    Added "added",
    /// A value that went, and its mark.
    Removed "removed",
    /// The part of a text that came.
    AddedPart "added_part",
    /// The part of a text that went.
    RemovedPart "removed_part",
    /// The mark of a value that became another.
    Changed "changed",
    /// A path about privileges, secrets, owners or network exposure.
    Important "important",
    /// Set within a day.
    AgeNew "age_new",
    /// Set within a month.
    AgeRecent "age_recent",
    /// Set long ago.
    AgeOld "age_old",
    /// What stands for a secret.
    Masked "masked",
    /// A word that the filter searches for.
    Hit "hit",
}

/// How many colours the terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Depth {
    /// None are wanted.
    None,
    /// The sixteen named ones.
    Ansi,
    /// The cube of 256.
    Indexed,
    /// 24 bit.
    Rgb,
}

/// Whether to colour, as the user asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColorChoice {
    /// As the terminal and `NO_COLOR` say.
    #[default]
    Auto,
    /// Even when `NO_COLOR` is set.
    Always,
    /// Never.
    Never,
}

impl Depth {
    /// Decides by the choice of the user, then `NO_COLOR`, `COLORTERM` and `TERM`, read by `environment`.
    pub(crate) fn detect(choice: ColorChoice, environment: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| environment(name).filter(|v| !v.is_empty());
        let term = set("TERM").unwrap_or_default();
        let unwanted = set("NO_COLOR").is_some() || term == "dumb";
        if choice == ColorChoice::Never || (choice == ColorChoice::Auto && unwanted) {
            Self::None
        } else if set("COLORTERM").is_some_and(|c| c == "truecolor" || c == "24bit")
            || term.ends_with("-direct")
        {
            Self::Rgb
        } else if term.contains("256color") {
            Self::Indexed
        } else {
            Self::Ansi
        }
    }
}

/// Whether the terminal says, by `COLORFGBG`, that its background is light.
pub(crate) fn light_background(environment: impl Fn(&str) -> Option<String>) -> bool {
    environment("COLORFGBG").is_some_and(|v| matches!(v.rsplit(';').next(), Some("7" | "15")))
}

/// Why a theme is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the theme '{theme}' cannot be used: {reason}")]
pub(crate) struct ThemeError {
    theme: String,
    reason: String,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Entry {
    rgb: Option<String>,
    background: Option<String>,
    ansi: Option<String>,
    ansi_background: Option<String>,
    modifiers: Vec<String>,
}

/// The style of every role.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Theme {
    styles: Vec<Style>,
}

impl Theme {
    /// Names of the themes that come with the program.
    pub(crate) const NAMES: &'static [&'static str] = &["dark", "light", "mono"];

    /// A theme of the program, for a terminal.
    ///
    /// # Errors
    /// When none has that name.
    pub(crate) fn shipped(name: &str, depth: Depth) -> Result<Self, ThemeError> {
        let text = match if depth == Depth::None { "mono" } else { name } {
            "dark" => include_str!("../../../assets/themes/dark.toml"),
            "light" => include_str!("../../../assets/themes/light.toml"),
            "mono" => include_str!("../../../assets/themes/mono.toml"),
            _ => {
                let reason = format!("there are {}", Self::NAMES.join(", "));
                return Err(ThemeError { theme: name.to_owned(), reason });
            }
        };
        Self::parse(text, depth).map_err(|reason| ThemeError { theme: name.to_owned(), reason })
    }

    fn parse(text: &str, depth: Depth) -> Result<Self, String> {
        let mut entries: BTreeMap<String, Entry> = toml::from_str(text).map_err(|e| e.to_string())?;
        let styles = Role::ALL
            .iter()
            .map(|role| {
                let entry =
                    entries.remove(role.name()).ok_or_else(|| format!("no role '{}'", role.name()))?;
                style(&entry, depth)
            })
            .collect::<Result<_, _>>()?;
        match entries.keys().next() {
            Some(unknown) => Err(format!("there is no role '{unknown}'")),
            None => Ok(Self { styles }),
        }
    }

    /// The style of a role.
    pub(crate) fn style(&self, role: Role) -> Style {
        self.styles.get(role as usize).copied().unwrap_or_default()
    }
}

fn style(entry: &Entry, depth: Depth) -> Result<Style, String> {
    let mut style = Style::new();
    let pick = |rgb: &Option<String>, ansi: &Option<String>| -> Result<Option<Color>, String> {
        let text = match depth {
            Depth::None => None,
            Depth::Ansi => ansi.as_deref().filter(|a| !a.is_empty()),
            Depth::Indexed | Depth::Rgb => rgb.as_deref().or(ansi.as_deref()).filter(|a| !a.is_empty()),
        };
        let Some(text) = text else { return Ok(None) };
        let color = Color::from_str(text).map_err(|_| format!("'{text}' is not a colour"))?;
        Ok(Some(match (color, depth) {
            (Color::Rgb(r, g, b), Depth::Indexed) => Color::Indexed(nearest_indexed(r, g, b)),
            (color, _) => color,
        }))
    };
    if let Some(color) = pick(&entry.rgb, &entry.ansi)? {
        style = style.fg(color);
    }
    if let Some(color) = pick(&entry.background, &entry.ansi_background)? {
        style = style.bg(color);
    }
    for name in &entry.modifiers {
        let modifier = match name.as_str() {
            "bold" => Modifier::BOLD,
            // Dim on top of a grey of our own would be too dark; it stands in for the grey where there is none.
            "dim" if style.fg.is_some() => continue,
            "dim" => Modifier::DIM,
            "reversed" => Modifier::REVERSED,
            "underlined" => Modifier::UNDERLINED,
            other => return Err(format!("'{other}' is not a modifier")),
        };
        style = style.add_modifier(modifier);
    }
    Ok(style)
}

/// The nearest colour of the 6×6×6 cube or the grey ramp of 256-colour terminals.
fn nearest_indexed(r: u8, g: u8, b: u8) -> u8 {
    const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let step = |v: u8| (0..6u8).min_by_key(|i| STEPS[usize::from(*i)].abs_diff(v)).unwrap_or(0);
    let distance = |(x, y, z): (u8, u8, u8)| {
        [(r, x), (g, y), (b, z)].iter().map(|(p, q)| u32::from(p.abs_diff(*q)).pow(2)).sum::<u32>()
    };
    let (cr, cg, cb) = (step(r), step(g), step(b));
    let cube = (STEPS[usize::from(cr)], STEPS[usize::from(cg)], STEPS[usize::from(cb)]);
    let mean = (u16::from(r) + u16::from(g) + u16::from(b)) / 3;
    let grey = ((mean.saturating_sub(3)) / 10).min(23) as u8;
    let level = 8 + 10 * grey;
    if distance((level, level, level)) < distance(cube) { 232 + grey } else { 16 + 36 * cr + 6 * cg + cb }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &'static [(&'static str, &'static str)]) -> impl Fn(&str) -> Option<String> {
        move |name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
    }

    #[test]
    fn every_shipped_theme_has_every_role_at_every_depth() {
        for name in Theme::NAMES {
            for depth in [Depth::None, Depth::Ansi, Depth::Indexed, Depth::Rgb] {
                Theme::shipped(name, depth).unwrap();
            }
        }
        assert!(Theme::shipped("pink", Depth::Rgb).unwrap_err().to_string().contains("dark, light, mono"));
    }

    #[test]
    fn no_color_leaves_modifiers_only() {
        for name in Theme::NAMES {
            let theme = Theme::shipped(name, Depth::None).unwrap();
            assert!(theme.styles.iter().all(|s| s.fg.is_none() && s.bg.is_none()));
        }
    }

    #[test]
    fn no_bar_is_a_hole() {
        for name in Theme::NAMES {
            for depth in [Depth::None, Depth::Ansi, Depth::Indexed, Depth::Rgb] {
                let theme = Theme::shipped(name, depth).unwrap();
                for role in [Role::Label, Role::WarningBar, Role::CriticalBar] {
                    assert!(!theme.style(role).add_modifier.contains(Modifier::REVERSED), "{name} {role:?}");
                }
            }
        }
    }

    #[test]
    fn severities_differ_without_colour() {
        for depth in [Depth::None, Depth::Ansi] {
            let theme = Theme::shipped("dark", depth).unwrap();
            assert_ne!(theme.style(Role::Critical), theme.style(Role::Warning));
            assert_ne!(theme.style(Role::Warning), theme.style(Role::Info));
        }
    }

    #[test]
    fn depth_follows_the_user_then_the_environment() {
        let truecolor = with(&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")]);
        assert_eq!(Depth::detect(ColorChoice::Auto, &truecolor), Depth::Rgb);
        assert_eq!(Depth::detect(ColorChoice::Never, &truecolor), Depth::None);
        let refused = with(&[("TERM", "xterm-256color"), ("NO_COLOR", "1")]);
        assert_eq!(Depth::detect(ColorChoice::Auto, &refused), Depth::None);
        assert_eq!(Depth::detect(ColorChoice::Always, &refused), Depth::Indexed);
        assert_eq!(Depth::detect(ColorChoice::Auto, with(&[("TERM", "linux")])), Depth::Ansi);
        assert_eq!(Depth::detect(ColorChoice::Auto, with(&[("TERM", "dumb")])), Depth::None);
    }

    #[test]
    fn colours_of_256_are_near() {
        assert_eq!(nearest_indexed(0, 0, 0), 16);
        assert_eq!(nearest_indexed(255, 255, 255), 231);
        assert_eq!(nearest_indexed(0xd5, 0x5e, 0x00), 166);
        assert_eq!(nearest_indexed(128, 128, 128), 244);
    }
}
