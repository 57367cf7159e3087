"""Long child processes that outlive the task that started them; standard library only, either interpreter."""
