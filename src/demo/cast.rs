//! Who is on stage: three companies, their people, service accounts and projects. None of it depends on the seed, so
//! that the planted story can name people.

use super::calendar::{DAY, Zone};
use super::dice::mix;
use super::kind::Kind::{
    self, ApiKey, Benchmark, Dataset, Evaluation, Project, Prompt, RetentionPolicy, RoleBinding, Trace, User,
    Webhook,
};
use crate::domain::Action::{self, Create, Delete, Export, Read, Update};

/// Something an actor may do, and how often in proportion to the rest.
pub(super) type Habit = (u64, Kind, Action);

/// A tenant of the platform.
#[derive(Debug)]
pub(super) struct Company {
    /// `organization_id`.
    pub(super) id: &'static str,
    /// Share of all events in percent; the last company takes what rounding leaves.
    pub(super) share: u64,
    /// Sets its private networks apart.
    pub(super) network: u8,
    /// Addresses of its offices, but for the last digit (ranges that are set aside for documentation).
    office: &'static str,
    names: &'static str,
    zones: &'static [Zone],
    /// Project ids and names.
    pub(super) projects: &'static [(&'static str, &'static str)],
    /// Numbers of the people whose user record belongs to the planted story: everyday life does not touch it.
    pub(super) scripted: &'static [usize],
}

/// The companies, by falling size.
pub(super) const COMPANIES: [Company; 3] = [
    Company {
        id: "acme",
        share: 54,
        network: 100,
        office: "198.51.100.1",
        names: "alice bruno carla dmitri emma farid greta hiro ines jonas katya liam mira noah olga pavel quentin \
                rosa samir tilda umar vera wanda xavier yara zoltan eve fiona gustav hanna ivan judith mallory \
                nadia oscar priya rafael sofia theo ulrike",
        zones: &[Zone::Berlin, Zone::Berlin, Zone::Berlin, Zone::London, Zone::NewYork, Zone::Kolkata],
        projects: &[
            ("p-checkout", "Checkout assistant"),
            ("p-support", "Support triage"),
            ("p-search", "Product search"),
            ("p-fraud", "Fraud review"),
            ("p-docs", "Documentation bot"),
            ("p-platform", "Platform"),
        ],
        scripted: &[27, 33],
    },
    Company {
        id: "globex",
        share: 34,
        network: 101,
        office: "192.0.2.4",
        names: "adam bianca chen deniz elif felix gita hassan irina jorge kenji lucia marek nora omar petra quinn \
                rahul selma tomas ursula viktor wei ximena yusuf zara anton beate cyril doris egon frida georg \
                helga igor jana karl lena milan nils",
        zones: &[Zone::NewYork, Zone::NewYork, Zone::LosAngeles, Zone::Tokyo],
        projects: &[("p-claims", "Claims agent"), ("p-voice", "Voice desk"), ("p-lab", "Model lab")],
        scripted: &[],
    },
    Company {
        id: "initech",
        share: 12,
        network: 102,
        office: "192.0.2.7",
        names: "agnes boris celia daniel esther fabian gloria henrik isabel jakob kamila lorenz monika nestor \
                oriol paula renzo sandra tibor urs valentin wilma yann zita axel birgit cosmo delia enzo flora \
                guido heidi ingo jule knut lars mona nele otto pia",
        zones: &[Zone::London, Zone::Berlin],
        projects: &[("p-reports", "Report writer"), ("p-mail", "Mail sorter")],
        scripted: &[],
    },
];

/// Numbers of people in each company; person `n` has the actor id `user-n`.
pub(super) const PEOPLE: usize = 40;

/// What somebody does for a living.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Team {
    Administration,
    Engineering,
    Annotation,
    Analysis,
    Management,
}

impl Team {
    /// Team of person `n`.
    pub(super) fn of(n: usize) -> Self {
        match n {
            1..=3 => Self::Administration,
            _ if n.is_multiple_of(11) => Self::Management,
            _ => match n % 4 {
                0 => Self::Annotation,
                1 => Self::Analysis,
                _ => Self::Engineering,
            },
        }
    }

    /// Lower-case name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Administration => "administration",
            Self::Engineering => "engineering",
            Self::Annotation => "annotation",
            Self::Analysis => "analysis",
            Self::Management => "management",
        }
    }

    /// Role a new member has.
    pub(super) fn role(self) -> &'static str {
        match self {
            Self::Administration => "admin",
            Self::Engineering | Self::Analysis => "editor",
            Self::Annotation | Self::Management => "viewer",
        }
    }

    /// What its members do.
    pub(super) fn habits(self) -> &'static [Habit] {
        match self {
            Self::Administration => &[
                (20, User, Read),
                (12, User, Update),
                (10, RoleBinding, Read),
                (4, RoleBinding, Create),
                (8, RoleBinding, Update),
                (2, RoleBinding, Delete),
                (8, ApiKey, Read),
                (5, ApiKey, Create),
                (5, ApiKey, Update),
                (4, ApiKey, Delete),
                (6, Webhook, Read),
                (2, Webhook, Create),
                (5, Webhook, Update),
                (2, Webhook, Delete),
                (5, RetentionPolicy, Read),
                (1, RetentionPolicy, Update),
                (6, Project, Read),
                (4, Project, Update),
                (2, Dataset, Delete),
                (2, Prompt, Delete),
            ],
            Self::Engineering => &[
                (34, Trace, Read),
                (7, Trace, Update),
                (1, Trace, Export),
                (14, Prompt, Read),
                (10, Prompt, Update),
                (2, Prompt, Create),
                (1, Prompt, Delete),
                (7, Evaluation, Create),
                (13, Evaluation, Read),
                (4, Benchmark, Read),
                (7, Dataset, Read),
                (5, Project, Read),
                (2, Webhook, Update),
            ],
            Self::Annotation => &[
                (42, Trace, Read),
                (34, Trace, Update),
                (9, Dataset, Read),
                (9, Dataset, Update),
                (6, Evaluation, Read),
            ],
            Self::Analysis => &[
                (24, Dataset, Read),
                (5, Dataset, Export),
                (3, Dataset, Create),
                (4, Dataset, Update),
                (18, Evaluation, Read),
                (4, Evaluation, Export),
                (14, Trace, Read),
                (8, Benchmark, Read),
                (1, Benchmark, Create),
                (3, Benchmark, Update),
            ],
            Self::Management => &[
                (24, Project, Read),
                (4, Project, Update),
                (20, Evaluation, Read),
                (8, Dataset, Read),
                (6, RoleBinding, Read),
                (8, User, Read),
                (2, Evaluation, Export),
            ],
        }
    }
}

/// How a service's work is spread over the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// The same at every hour.
    Even,
    /// More while people work.
    Traffic,
    /// Between 01:00 and 04:00 UTC.
    Nightly,
}

/// A program with an identity of its own. `system` is the platform itself.
#[derive(Debug)]
pub(super) struct Service {
    /// `actor_id`.
    pub(super) id: &'static str,
    /// How much it does: a person at full work has about 100.
    pub(super) vigour: u64,
    /// When.
    pub(super) shape: Shape,
    /// Longest run of events in a row.
    pub(super) burst: u64,
    /// `actor_user_agent`; `None` for the platform itself.
    pub(super) agent: Option<&'static str>,
    /// What it does.
    pub(super) habits: &'static [Habit],
}

/// The service accounts of every company, the platform itself last.
pub(super) const SERVICES: [Service; 13] = [
    Service {
        id: "svc-ingest",
        vigour: 420,
        shape: Shape::Traffic,
        burst: 24,
        agent: Some("agenttrace-collector/3.4.1"),
        habits: &[(1, Trace, Create)],
    },
    Service {
        id: "svc-gateway",
        vigour: 150,
        shape: Shape::Traffic,
        burst: 10,
        agent: Some("agenttrace-gateway/1.19.0 (linux; amd64)"),
        habits: &[(3, Trace, Create), (2, Prompt, Read)],
    },
    Service {
        id: "svc-evaluator",
        vigour: 260,
        shape: Shape::Traffic,
        burst: 12,
        agent: Some("agenttrace-evaluator/2.8.0"),
        habits: &[(8, Evaluation, Update), (1, Dataset, Read), (3, Trace, Read)],
    },
    Service {
        id: "svc-ci",
        vigour: 90,
        shape: Shape::Traffic,
        burst: 8,
        agent: Some("agenttrace-sdk-python/2.8.0 (CPython 3.12; Linux)"),
        habits: &[(5, Evaluation, Create), (4, Prompt, Read), (1, Benchmark, Update), (2, Dataset, Read)],
    },
    Service {
        id: "svc-deploy",
        vigour: 30,
        shape: Shape::Traffic,
        burst: 5,
        agent: Some("agenttrace-cli/1.12.3 (linux-x86_64)"),
        habits: &[(5, Prompt, Read), (2, Prompt, Update), (3, Project, Read)],
    },
    Service {
        id: "svc-sync",
        vigour: 24,
        shape: Shape::Even,
        burst: 9,
        agent: Some("scim-bridge/0.9.2"),
        habits: &[(5, User, Read), (3, User, Update), (2, RoleBinding, Read)],
    },
    Service {
        id: "svc-webhooks",
        vigour: 30,
        shape: Shape::Traffic,
        burst: 4,
        agent: Some("agenttrace-dispatcher/1.3.0"),
        habits: &[(2, Webhook, Update), (5, Webhook, Read)],
    },
    Service {
        id: "svc-warehouse",
        vigour: 240,
        shape: Shape::Nightly,
        burst: 14,
        agent: Some("Airbyte/1.4 (destination-warehouse)"),
        habits: &[(5, Dataset, Export), (4, Evaluation, Export), (6, Trace, Export)],
    },
    Service {
        id: "svc-scheduler",
        vigour: 40,
        shape: Shape::Even,
        burst: 4,
        agent: Some("agenttrace-scheduler/1.0.6"),
        habits: &[(3, Evaluation, Create), (3, Benchmark, Read)],
    },
    Service {
        id: "svc-annotator",
        vigour: 70,
        shape: Shape::Traffic,
        burst: 16,
        agent: Some("agenttrace-sdk-typescript/2.8.0 (node 22.12)"),
        habits: &[(3, Trace, Update), (2, Trace, Read)],
    },
    Service {
        id: "svc-notifier",
        vigour: 26,
        shape: Shape::Traffic,
        burst: 3,
        agent: Some("agenttrace-notifier/0.7.7"),
        habits: &[(3, Evaluation, Read), (2, Webhook, Read)],
    },
    Service {
        id: "svc-retention",
        vigour: 420,
        shape: Shape::Nightly,
        burst: 30,
        agent: Some("agenttrace-retention/1.2.0"),
        habits: &[(12, Trace, Delete), (2, Evaluation, Delete), (1, RetentionPolicy, Read)],
    },
    Service {
        id: "system",
        vigour: 20,
        shape: Shape::Even,
        burst: 3,
        agent: None,
        habits: &[(6, Trace, Delete), (2, Evaluation, Update), (2, Webhook, Update)],
    },
];

/// A person.
#[derive(Debug, Clone)]
pub(super) struct Person {
    /// From 1 to [`PEOPLE`].
    pub(super) number: usize,
    /// `actor_id`.
    pub(super) id: String,
    /// First and last name.
    pub(super) name: String,
    /// `actor_email`.
    pub(super) email: String,
    /// Where they work.
    pub(super) zone: Zone,
    /// What they do.
    pub(super) team: Team,
    /// Address in the office (shared, behind NAT) and at home (their own).
    pub(super) addresses: [String; 2],
    /// Browser at the desk and the other one.
    pub(super) agents: [&'static str; 2],
}

impl Person {
    /// Where they are at an instant (microseconds): index into `addresses` and `agents`. Home on three days of ten,
    /// and then all day.
    pub(super) fn place(&self, time: i64) -> usize {
        usize::from(mix((time / DAY) as u64 * 64 + self.number as u64) % 10 < 3)
    }
}

const LAST_NAMES: [&str; 23] = [
    "Almeida",
    "Bauer",
    "Costa",
    "Dahl",
    "Ekström",
    "Fischer",
    "García",
    "Haddad",
    "Ivanova",
    "Jensen",
    "Kowalski",
    "Lindqvist",
    "Moreau",
    "Novák",
    "O'Brien",
    "Patel",
    "Rossi",
    "Schäfer",
    "Tanaka",
    "Usman",
    "Vogel",
    "Weber",
    "Yilmaz",
];

const BROWSERS: [&str; 5] = [
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_7_1) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0",
];

impl Company {
    /// Person `number` (from 1 to [`PEOPLE`]).
    pub(super) fn person(&self, number: usize) -> Person {
        let first = self.names.split_whitespace().nth(number - 1).unwrap_or("sam");
        let mut name: String = first[..1].to_uppercase();
        name.push_str(&first[1..]);
        name.push(' ');
        name.push_str(LAST_NAMES[(number * 7 + usize::from(self.network)) % LAST_NAMES.len()]);
        let home = if number.is_multiple_of(3) {
            format!("2001:db8:{:x}:{:x}::{:x}", self.network, number * 17, number + 1)
        } else {
            format!("100.{}.{}.{}", 64 + number % 60, self.network, 10 + number * 5)
        };
        Person {
            number,
            id: format!("user-{number}"),
            name,
            email: format!("{first}@{}.example", self.id),
            zone: self.zones[number % self.zones.len()],
            team: Team::of(number),
            addresses: [format!("{}{}", self.office, number % self.zones.len()), home],
            agents: [BROWSERS[number % 5], BROWSERS[(number * 3 + 1) % 5]],
        }
    }

    /// Address of the service with this index.
    pub(super) fn service_address(&self, index: usize) -> String {
        format!("10.{}.0.{}", self.network, 20 + index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_company_has_its_people() {
        for company in &COMPANIES {
            assert_eq!(company.names.split_whitespace().count(), PEOPLE);
            let emails: HashSet<String> = (1..=PEOPLE).map(|n| company.person(n).email).collect();
            assert_eq!(emails.len(), PEOPLE);
        }
        assert_eq!(COMPANIES.iter().map(|c| c.share).sum::<u64>(), 100);
        assert_eq!(COMPANIES[0].person(33).email, "mallory@acme.example");
        assert_eq!(COMPANIES[0].person(27).email, "eve@acme.example");
    }
}
