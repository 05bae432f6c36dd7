"""The loss that training lowers: its terms, their objective, and what other stacks add."""
