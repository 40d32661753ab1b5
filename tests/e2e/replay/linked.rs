//! Folders that hold links, and what is no object.

use std::fs;
use std::os::unix::fs::symlink;

use anyhow::{Context, Result};
use spillway_tests::bucket::Bucket;
use spillway_tests::replay::replay;
use spillway_tests::stack::TestStack;

use super::{assert_once, execute, stored};

#[tokio::test]
async fn a_folder_with_links_is_read_and_what_is_passed_over_is_named() -> Result<()> {
    let stack = TestStack::start().await?;
    let all = stored(&stack, 4, 10).await?;
    let elsewhere = stack.folder().join("elsewhere");
    for key in Bucket::of(&stack).keys().await? {
        let path = elsewhere.join(&key);
        fs::create_dir_all(path.parent().context("a key has folders")?)?;
        fs::write(path, Bucket::of(&stack).get(&key).await?.0)?;
    }
    // A tree whose year lies on another disk, and loose files of a folder that is linked.
    let year = fs::read_dir(elsewhere.join("v1"))?.next().context("there is a year")??.file_name();
    fs::create_dir_all(stack.folder().join("tree/v1"))?;
    symlink(elsewhere.join("v1").join(&year), stack.folder().join("tree/v1").join(&year))?;
    fs::create_dir_all(stack.folder().join("loose"))?;
    symlink(&elsewhere, stack.folder().join("loose/linked"))?;
    for folder in ["tree", "loose"] {
        execute(&stack, &format!("CREATE TABLE {folder} AS otel_traces")).await?;
        let said = replay(&stack, &format!("--folder {folder} --table {folder}")).await?.ended(0)?;
        assert!(said.contains("replay: 4 objects") && said.contains("all is stored"), "{said}");
        assert_once(&stack, folder, all).await?;
    }

    // What may be an object, and is not read: a link that leads nowhere.
    symlink("/nowhere/2025", stack.folder().join("tree/v1/2025"))?;
    fs::write(stack.folder().join("tree/README.txt"), "no object")?;
    for arguments in ["--folder tree --table tree", "--folder tree --dry-run"] {
        let said = replay(&stack, arguments).await?.ended(3)?;
        assert!(said.contains("passed over: tree/v1/2025: it is a link that cannot be followed"), "{said}");
        assert!(said.contains("passed over: tree/README.txt: it lies beside"), "{said}");
        assert!(!said.contains("all is stored"), "{said}");
    }
    fs::remove_file(stack.folder().join("tree/v1/2025"))?;
    let said = replay(&stack, "--folder tree --table tree").await?.ended(0)?;
    assert!(said.contains("all objects that were found are stored; 1 entries"), "{said}");
    stack.stop_now().await
}
