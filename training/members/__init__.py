"""The members: each is one file that scores how badly a label fits its sample."""
