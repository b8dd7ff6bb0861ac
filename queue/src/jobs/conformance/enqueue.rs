//! Jobs come in.

use bytes::Bytes;
use futures::future::try_join_all;

use super::kit::{Client, LONG, Outcome, SHORT, STATES, Subject, complete, dead, id, new, queue, wait_out};
use crate::jobs::{
    Counts, End, Enqueued, JobId, JobOptions, JobState, MAX_ID, MAX_PAYLOAD, NewJob, StorageError,
};

/// Nothing of a job is lost or changed.
pub async fn jobs_are_kept_as_given(subject: Subject) -> Outcome {
    let options = JobOptions { priority: -7, delay: LONG, max_deliveries: 9, retention: SHORT };
    let Enqueued::New(generation) = subject.client.put_with("a", options.clone()).await? else {
        return Err(StorageError::Corrupt { what: "a new job was a duplicate".to_owned() });
    };
    let job = subject.client.job("a").await?;
    assert_eq!((&job.id, job.generation, job.state), (&id("a"), generation, JobState::Delayed));
    assert_eq!((job.payload, job.options), (Bytes::from("payload of a"), options));
    assert_eq!((job.deliveries, job.cancel_requested), (0, false));
    assert_eq!(job.ready_at, job.created_at.after(LONG));
    assert_eq!((job.ended_at, job.expires_at, job.lease), (None, None, None));
    assert_eq!((job.output, job.error), (None, None));
    Ok(())
}

/// One call, an answer for each; a duplicate does not hinder the others, not even within one call.
pub async fn many_at_once_are_each_for_itself(subject: Subject) -> Outcome {
    let client = &subject.client;
    client.put("b").await?;
    let jobs = ["a", "b", "c", "a"].map(|name| new(name, JobOptions::default()));
    let answers = client.storage.enqueue(&client.queue, jobs.to_vec()).await?;
    let is_new: Vec<_> = answers.iter().map(|answer| matches!(answer, Enqueued::New(_))).collect();
    assert_eq!(is_new, [true, false, true, false], "{answers:?}");
    assert_eq!(client.take_ids(9).await?, ["b", "a", "c"]);
    let many: Vec<_> = (0..500).map(|number| new(&format!("job {number}"), JobOptions::default())).collect();
    let answers = client.storage.enqueue(&client.queue, many).await?;
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Enqueued::New(_))).count(), 500);
    assert_eq!(client.storage.counts(&client.queue).await?.waiting, 500);
    Ok(())
}

/// The first one wins, whatever became of it, and stays as it is; once it is forgotten, the id is free.
pub async fn an_id_is_taken_in_every_state(subject: Subject) -> Outcome {
    let client = &subject.client;
    for state in STATES {
        let name = format!("{state:?}");
        client.put_in_state(&name, state).await?;
        let before = client.job(&name).await?;
        let other = NewJob { payload: Bytes::from("other"), ..new(&name, JobOptions::default()) };
        let answers = client.storage.enqueue(&client.queue, vec![other]).await?;
        assert_eq!(answers, [Enqueued::Duplicate(state)]);
        assert_eq!(client.job(&name).await?, before);
    }
    Ok(())
}

/// Deciding whether an id is free and taking it is one step.
pub async fn one_of_ten_at_once_is_new(subject: Subject) -> Outcome {
    let clients = [Some(subject.client.clone()), subject.second()];
    let clients: Vec<Client> = clients.into_iter().flatten().collect();
    for round in 0..10 {
        let name = format!("round {round}");
        let calls = clients.iter().cycle().take(10).map(|client| client.put(&name));
        let answers = try_join_all(calls).await?;
        let new = answers.iter().filter(|answer| matches!(answer, Enqueued::New(_))).count();
        assert_eq!(new, 1, "{answers:?}");
    }
    assert_eq!(subject.client.take_ids(99).await?.len(), 10);
    Ok(())
}

/// Payloads, outputs and errors come back byte for byte.
pub async fn bytes_are_kept_as_they_are(subject: Subject) -> Outcome {
    let client = &subject.client;
    let every: Vec<u8> = (0..=u8::MAX).cycle().take(100_000).collect();
    for bytes in
        [Bytes::new(), Bytes::from_static(b"\0"), Bytes::from_static(b"\xff\xfe:{}\r\n"), every.into()]
    {
        let job = NewJob { payload: bytes.clone(), ..new("bytes", JobOptions::default()) };
        client.storage.enqueue(&client.queue, vec![job]).await?;
        let claimed = client.take().await?;
        assert_eq!(claimed.payload, bytes);
        let end = End::Retry { delay: SHORT, error: bytes.clone() };
        assert!(client.end(&claimed, end).await?);
        assert_eq!(client.job("bytes").await?.error, Some(bytes.clone()));
        wait_out(SHORT).await;
        let claimed = client.take().await?;
        let end = End::Complete { output: bytes.clone(), retention: LONG };
        assert!(client.end(&claimed, end).await?);
        let job = client.job("bytes").await?;
        assert_eq!((job.payload, job.output), (bytes.clone(), Some(bytes)));
        assert!(client.storage.remove(&client.queue, &id("bytes")).await?);
    }
    Ok(())
}

/// No character of an id means anything, and no two ids are the same that differ.
pub async fn nasty_ids_are_kept_apart(subject: Subject) -> Outcome {
    let client = &subject.client;
    let ids = nasty_ids();
    let jobs: Vec<_> = ids.iter().map(|id| new(id.as_str(), JobOptions::default())).collect();
    let answers = client.storage.enqueue(&client.queue, jobs).await?;
    assert!(answers.iter().all(|answer| matches!(answer, Enqueued::New(_))), "{answers:?}");
    let claimed = client.claim(ids.len() + 1, LONG).await?;
    assert_eq!(claimed.iter().map(|job| job.id.clone()).collect::<Vec<_>>(), ids);
    for (number, job) in claimed.iter().enumerate() {
        let end = if number % 2 == 0 { complete(job.id.as_str()) } else { dead(job.id.as_str()) };
        assert!(client.end(job, end).await?, "{:?}", job.id);
    }
    for (number, nasty) in ids.iter().enumerate() {
        let job = client.job(nasty.as_str()).await?;
        assert_eq!(job.payload, Bytes::from(format!("payload of {nasty}")));
        let kept = if number % 2 == 0 { job.output } else { job.error };
        assert_eq!(kept, Some(Bytes::from(nasty.as_str().to_owned())));
        assert!(client.storage.remove(&client.queue, nasty).await?);
    }
    assert_eq!(client.storage.counts(&client.queue).await?, Counts::default());
    Ok(())
}

/// The same id in two queues is two jobs, also where names put together would look the same.
pub async fn queues_are_kept_apart(subject: Subject) -> Outcome {
    let with = |name: &str| Client { queue: queue(name), ..subject.client.clone() };
    let pairs = [("a", "b"), ("a:b", "a"), ("a", "A"), ("a", "a "), ("{a}", "a"), ("x/../a", "a")];
    for (round, (left, right)) in pairs.into_iter().enumerate() {
        let (left, right) = (with(left), with(right));
        let (short, long) = (format!("c{round}"), format!("b:c{round}"));
        left.put_new(&[&short]).await?;
        right.put_new(&[&long, &short]).await?;
        assert_eq!(left.take_ids(9).await?, [short.as_str()]);
        assert_eq!(right.take_ids(9).await?, [long, short]);
    }
    Ok(())
}

/// One byte more than the limit, and the whole call does nothing.
pub async fn what_is_too_large_changes_nothing(subject: Subject) -> Outcome {
    let client = &subject.client;
    let large = Bytes::from(vec![7; MAX_PAYLOAD + 1]);
    let jobs = vec![
        new("small", JobOptions::default()),
        NewJob { payload: large.clone(), ..new("large", JobOptions::default()) },
    ];
    let is_too_large =
        |error: &StorageError| matches!(error, StorageError::TooLarge { limit, .. } if *limit == MAX_PAYLOAD);
    let error = client.storage.enqueue(&client.queue, jobs).await.err();
    assert!(error.as_ref().is_some_and(is_too_large), "{error:?}");
    assert_eq!(client.state("small").await?, None);
    client.put("job").await?;
    let job = client.take().await?;
    let output = End::Complete { output: large.clone(), retention: LONG };
    for end in [output, End::Dead { error: large }] {
        let error = client.end(&job, end).await.err();
        assert!(error.as_ref().is_some_and(is_too_large), "{error:?}");
    }
    assert!(client.end(&job, complete("small")).await?);
    Ok(())
}

/// A call without jobs answers nothing.
pub async fn nothing_is_enqueued_for_nothing(subject: Subject) -> Outcome {
    let client = &subject.client;
    assert_eq!(client.storage.enqueue(&client.queue, Vec::new()).await?, []);
    assert_eq!(client.finish(Vec::new()).await?.outcomes, []);
    assert_eq!(client.storage.extend(&client.queue, Vec::new(), LONG).await?, []);
    Ok(())
}

fn nasty_ids() -> Vec<JobId> {
    let long = "é".repeat(MAX_ID / 2);
    let dots = "../".repeat(20) + "etc/passwd";
    let plain = [
        ":",
        "/",
        "..",
        ".",
        "../x",
        "a",
        "a:exp",
        "a:",
        ":a",
        "A",
        "a ",
        " a",
        "{a}",
        "{}",
        "*",
        "?",
        "[a]",
        "\\",
        "%",
        "%2F",
        "_",
        "'",
        "\"",
        "''; drop table jobs; --",
        "\n",
        "\r\n",
        "\t",
        "é",
        "e\u{301}",
        "日本語",
        "\u{1f980}",
        "\u{feff}",
        "\u{202e}",
        "-",
        "0",
        "00",
        "1e3",
        "null",
        "~0",
        "~1",
        "$1",
        "a,b",
        "a|b",
        "a;b",
        "<a>",
        "&",
        "#",
    ];
    plain.iter().copied().chain([long.as_str(), dots.as_str()]).map(id).collect()
}
