//! The subject `ingest`: the same CloudTrail records from thousands of small files, and from one. They are made here, the
//! same in every run, and loaded into new databases on a private server that is thrown away.

use super::super::context::{blocking, server_error};
use super::{Measure, Measured};
use crate::domain::OrgId;
use crate::error::{Error, Result};
use crate::ingest::{
    self, Input, Mapping, Observer, RejectedRecord, RejectsFile, Report, Settings, Sink, SourceFormat,
};
use crate::server::{self, PrivateServer, Purpose};
use crate::store::private::databases;
use crate::store::writer::{Writer, WriterSettings};
use crate::store::{WriteDb, schema};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;

/// Two days of one account, as a real trail had them.
const RECORDS: usize = 30_477;
const FILES: usize = 3_870;
/// Files of a folder.
const FOLDER: usize = 100;
/// Records of a transaction, as `ingest` has them.
const BATCH: usize = 1_000;
/// The least rate of small files, as a share of that of one.
const BAR: f64 = 0.8;

const ORGANIZATION: &str = "bench";

/// Measures.
///
/// # Errors
/// When the files cannot be made, or there are no server binaries.
pub(super) async fn measure(pairs: u32) -> Result<Measured> {
    let name = format!("agenttrace-bench-{}-{}", std::process::id(), nanoseconds());
    let folder = server::throw_away_parent().join(name);
    let options = server::Options { folder: folder.join("server"), purpose: Purpose::ThrowAway };
    fs::create_dir(&folder)?;
    let measured = measure_in(&folder, options, pairs).await;
    let removed = fs::remove_dir_all(&folder);
    let measured = measured?;
    removed?;
    Ok(measured)
}

fn nanoseconds() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos())
}

async fn measure_in(folder: &Path, options: server::Options, pairs: u32) -> Result<Measured> {
    let (one, many) = (folder.join("one.json.gz"), folder.join("many"));
    write_files(&one, &many)?;
    let server = blocking(move || PrivateServer::attach(&options)).await?.map_err(server_error)?;
    let (mut of_one, mut of_many, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..pairs {
        let mut rates = [0.0; 2];
        // Whatever grows warm or fills up in the meantime favours each as often as the other.
        for which in if pair.is_multiple_of(2) { [0, 1] } else { [1, 0] } {
            let path = if which == 0 { &one } else { &many };
            rates[which] = rate(&server, &format!("pair-{pair}-{which}"), path).await?;
        }
        let [one, many] = rates;
        of_one.push(one);
        of_many.push(many);
        ratios.push(many / one);
    }
    blocking(move || drop(server)).await?;
    Ok(Measured {
        subject: "ingest",
        organization_id: ORGANIZATION.to_owned(),
        events: RECORDS as u64,
        pairs,
        measures: vec![
            Measure::median("one gzip file", "events/s", of_one),
            Measure::median("3870 small gzip files", "events/s", of_many),
            Measure::median("rate of small files to that of one", "", ratios).at_least(BAR),
        ],
    })
}

/// Events per second from a file or folder into a new database.
async fn rate(server: &PrivateServer, database: &str, path: &Path) -> Result<f64> {
    databases::ensure(&server.connect_options("postgres"), database).await?;
    let db = WriteDb::connect(server.connect_options(database)).await?;
    schema::migrate(&db).await?;
    let settings = Settings {
        format: None,
        mapping: Mapping { organization: OrgId::new(ORGANIZATION).ok(), ..Mapping::default() },
        batch: BATCH,
        retry: false,
        previews: 0,
    };
    let mut sink = Sink::Database(Box::new(Writer::new(db.clone(), WriterSettings::default())));
    let begun = Instant::now();
    let outcome = ingest::load(
        Input::files(path)?,
        settings,
        &mut sink,
        &mut RejectsFile::nowhere(),
        &mut Nobody,
        &CancellationToken::new(),
    )
    .await;
    let seconds = begun.elapsed().as_secs_f64();
    drop(sink);
    db.close().await;
    if let Some(halt) = outcome.halt {
        return Err(Error::could_not_run(halt.to_string()));
    }
    if outcome.report.stored != RECORDS as u64 {
        let stored = outcome.report.stored;
        return Err(Error::could_not_run(format!("{stored} of {RECORDS} records were stored")));
    }
    Ok(RECORDS as f64 / seconds)
}

struct Nobody;

impl Observer for Nobody {
    fn recognised(&mut self, _: &str, _: SourceFormat) {}
    fn rejected(&mut self, _: &RejectedRecord<'_>) {}
    fn progress(&mut self, _: &Report) {}
}

/// All records as one document, and as many in folders.
fn write_files(one: &Path, many: &Path) -> io::Result<()> {
    let records: Vec<Value> = (0..RECORDS).map(record).collect();
    write_document(one, &records)?;
    for file in 0..FILES {
        let folder = many.join(format!("{:03}", file / FOLDER));
        if file.is_multiple_of(FOLDER) {
            fs::create_dir_all(&folder)?;
        }
        let part = records.get(RECORDS * file / FILES..RECORDS * (file + 1) / FILES).unwrap_or_default();
        write_document(&folder.join(format!("{file:05}.json.gz")), part)?;
    }
    Ok(())
}

fn write_document(path: &Path, records: &[Value]) -> io::Result<()> {
    let mut out = GzEncoder::new(BufWriter::new(File::create_new(path)?), Compression::fast());
    serde_json::to_writer(&mut out, &json!({ "Records": records }))?;
    out.finish()?.flush()
}

/// An invented record of the size and make of real ones.
fn record(n: usize) -> Value {
    const CALLS: [(&str, &str, bool); 5] = [
        ("s3", "GetObject", true),
        ("ec2", "DescribeInstances", true),
        ("sts", "AssumeRole", true),
        ("iam", "AttachUserPolicy", false),
        ("kms", "Decrypt", true),
    ];
    let (service, call, is_read) = CALLS[n % CALLS.len()];
    let user = format!("user-{}", n % 37);
    json!({
        "eventVersion": "1.08", "eventTime": format!("2026-01-{:02}T{:02}:{:02}:{:02}Z", 1 + n / 15_239, n / 635 % 24,
            n / 11 % 60, n % 60),
        "userIdentity": {
            "type": "AssumedRole", "principalId": format!("AROAEXAMPLE{}:{user}", n % 11),
            "arn": format!("arn:aws:sts::111122223333:assumed-role/role-{}/{user}", n % 11),
            "accountId": "111122223333",
            "sessionContext": {
                "sessionIssuer": {"type": "Role", "userName": format!("role-{}", n % 11)},
                "attributes": {"creationDate": "2026-01-01T00:00:00Z", "mfaAuthenticated": "false"}
            }
        },
        "eventSource": format!("{service}.amazonaws.com"), "eventName": call, "awsRegion": "eu-central-1",
        "sourceIPAddress": format!("203.0.113.{}", n % 250), "userAgent": "aws-cli/2.15.0 Python/3.11.6",
        "requestParameters": {"bucketName": format!("bucket-{}", n % 53), "key": format!("path/to/object-{n}.json"),
            "userName": user, "policyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"},
        "responseElements": null, "requestID": format!("request-{n:08}"),
        "eventID": format!("{n:08x}-0000-4000-8000-000000000000"), "readOnly": is_read, "eventType": "AwsApiCall",
        "managementEvent": true, "recipientAccountId": "111122223333", "eventCategory": "Management",
        "tlsDetails": {"tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256",
            "clientProvidedHostHeader": format!("{service}.eu-central-1.amazonaws.com")}
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_hold_the_same_records() {
        let ids: std::collections::BTreeSet<String> =
            (0..RECORDS).step_by(101).map(|n| record(n)["eventID"].to_string()).collect();
        assert_eq!(ids.len(), RECORDS.div_ceil(101));
        let shares = (0..FILES).map(|file| RECORDS * (file + 1) / FILES - RECORDS * file / FILES);
        assert_eq!(shares.sum::<usize>(), RECORDS);
        assert!(
            record(30_000)["eventTime"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().is_ok()
        );
    }
}
