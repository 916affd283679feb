"""What is promised about hostile names, secrets and answers, held against real servers."""
