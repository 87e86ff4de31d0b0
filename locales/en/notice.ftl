notice-success-token-title = This step has to be confirmed
notice-success-token = Confirm it with a new code in the application that you came from.
notice-denied-title = Closed
notice-denied = You may not open this address.
notice-out-of-scope-title = Outside of the share
notice-out-of-scope = Your link opens its own folder only. Open the link that you were sent once more.
notice-too-many-tries-title = Too many wrong passwords
notice-too-many-tries = Wait a while before you try again.
