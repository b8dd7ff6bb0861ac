//! One leads, the others stand by.

use futures::future::try_join_all;

use super::kit::{LONG, Outcome, SHORT, Subject, queue, wait_out, worker};

/// It keeps the role as long as it asks; others are refused; roles are apart.
pub async fn one_leads(subject: Subject) -> Outcome {
    let storage = &subject.client.storage;
    let other = subject.second().unwrap_or_else(|| subject.client.clone()).storage;
    let (first, second) = (worker("first"), worker("second"));
    for _ in 0..2 {
        assert!(storage.lead(&queue("role"), &first, LONG).await?);
        assert!(!other.lead(&queue("role"), &second, LONG).await?);
    }
    assert!(other.lead(&queue("another role"), &second, LONG).await?);
    Ok(())
}

/// Its time ran out.
pub async fn a_leader_that_is_gone_is_replaced(subject: Subject) -> Outcome {
    let storage = &subject.client.storage;
    let (role, first, second) = (queue("role"), worker("first"), worker("second"));
    assert!(storage.lead(&role, &first, SHORT).await?);
    wait_out(SHORT).await;
    assert!(storage.lead(&role, &second, LONG).await?);
    assert!(!storage.lead(&role, &first, LONG).await?);
    // Renewing lasts from now on, also if it is shorter than before.
    assert!(storage.lead(&role, &second, SHORT).await?);
    wait_out(SHORT).await;
    assert!(storage.lead(&role, &first, LONG).await?);
    Ok(())
}

/// Then another can have the role at once. Who does not have it can't give it up.
pub async fn a_leader_can_resign(subject: Subject) -> Outcome {
    let storage = &subject.client.storage;
    let (role, first, second) = (queue("role"), worker("first"), worker("second"));
    storage.resign(&role, &first).await?;
    assert!(storage.lead(&role, &first, LONG).await?);
    storage.resign(&role, &second).await?;
    assert!(!storage.lead(&role, &second, LONG).await?);
    storage.resign(&role, &first).await?;
    assert!(storage.lead(&role, &second, LONG).await?);
    storage.resign(&role, &first).await?;
    assert!(!storage.lead(&role, &first, LONG).await?);
    Ok(())
}

/// A role that is free, or whose time ran out, goes to one.
pub async fn one_of_ten_at_once_leads(subject: Subject) -> Outcome {
    let role = queue("role");
    let clients: Vec<_> = [Some(subject.client.clone()), subject.second()].into_iter().flatten().collect();
    for round in 0..3 {
        let holders: Vec<_> = (0..10).map(|number| worker(&format!("{round} {number}"))).collect();
        let calls = clients.iter().cycle().zip(&holders);
        let calls = calls.map(|(client, holder)| client.storage.lead(&role, holder, SHORT));
        let leads = try_join_all(calls).await?;
        assert_eq!(leads.iter().filter(|leads| **leads).count(), 1, "{leads:?}");
        wait_out(SHORT).await;
    }
    Ok(())
}
